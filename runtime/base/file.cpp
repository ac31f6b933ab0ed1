#include "runtime/base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace inkling {

namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

tl::unexpected<Error> failed(const char* what, const Path& path) {
  const int code = errno;
  return fail(code == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo, what, " ", path.string(),
              ": ", std::strerror(code));
}

Result<std::uint64_t> regular_size(int fd, const Path& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return failed("stat", path);
  if (!S_ISREG(info.st_mode))
    return fail(ErrorCode::kIo, "open ", path.string(), ": not a regular file");
  return static_cast<std::uint64_t>(info.st_size);
}

Result<void> sync_folder(const Path& folder) {
  const Descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || ::fsync(fd.get()) != 0) return failed("sync", folder);
  return {};
}

Result<void> write_synced(const Path& path, ByteSpan bytes) {
  const Descriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (fd.get() < 0) return failed("create", path);
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("write", path);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  if (::fsync(fd.get()) != 0) return failed("sync", path);
  return {};
}

}  // namespace

Result<Bytes> read_file(const Path& path, std::uint64_t bytes_max) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return failed("open", path);
  INK_TRY(const std::uint64_t size, regular_size(fd.get(), path));
  if (size > bytes_max) {
    return fail(ErrorCode::kResourceLimit, "read ", path.string(), ": ", size, " bytes, limit ",
                bytes_max);
  }
  Bytes bytes(static_cast<std::size_t>(size));
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::read(fd.get(), bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("read", path);
    if (n == 0) return fail(ErrorCode::kIo, "read ", path.string(), ": the file shrank meanwhile");
    done += static_cast<std::size_t>(n);
  }
  return bytes;
}

Result<void> write_file(const Path& path, ByteSpan bytes) {
  const Path folder = path.has_parent_path() ? path.parent_path() : Path(".");
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return fail(ErrorCode::kIo, "create ", folder.string(), ": ", error.message());
  const Path temporary = concat(path.string(), ".", ::getpid(), ".tmp");
  if (auto written = write_synced(temporary, bytes); !written) {
    ::unlink(temporary.c_str());
    return written;
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const auto error_result = failed("rename to", path);
    ::unlink(temporary.c_str());
    return error_result;
  }
  return sync_folder(folder);
}

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const Path& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return failed("open", path);
  INK_TRY(const std::uint64_t size, regular_size(fd.get(), path));
  if (size == 0) return std::shared_ptr<const MappedFile>(new MappedFile({}));
  void* start =
      ::mmap(nullptr, static_cast<std::size_t>(size), PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (start == MAP_FAILED) return failed("map", path);
  const ByteSpan bytes(static_cast<const std::uint8_t*>(start), static_cast<std::size_t>(size));
  return std::shared_ptr<const MappedFile>(new MappedFile(bytes));
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::uint8_t*>(bytes_.data()), bytes_.size());
}

}  // namespace inkling
