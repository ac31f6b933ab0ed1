#include "runtime/base/pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace inkling {

namespace {

// Of the pages that lie wholly inside.
void advise(const void* data, std::size_t bytes, std::size_t page, int advice) {
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  const std::uintptr_t first = (begin + page - 1) / page * page,
                       last = (begin + bytes) / page * page;
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, advice);
}

}  // namespace

void release_pages(ByteSpan bytes) noexcept {
  advise(bytes.data(), bytes.size(), static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)),
         MADV_DONTNEED);
}

void prefer_huge_pages([[maybe_unused]] std::span<std::byte> bytes) noexcept {
#if defined(MADV_HUGEPAGE)
  advise(bytes.data(), bytes.size(), kHugePageBytes, MADV_HUGEPAGE);
#endif
}

}  // namespace inkling
