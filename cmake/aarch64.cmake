# 64-bit Arm on an x86-64 Debian: its cross compiler, and programs run by qemu's user mode. Libraries that are headers
# alone are those of this machine.
#   tools/setup aarch64 && cmake --preset aarch64 && cmake --build --preset aarch64 && ctest --preset aarch64
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)  # of GoogleTest's build
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)
file(GLOB hwy_DIR /usr/lib/*/cmake/hwy)
# Highway takes NEON for granted only where AES comes with it, as on every Arm CPU of a phone.
set(CMAKE_CXX_FLAGS_INIT -march=armv8-a+crypto)
