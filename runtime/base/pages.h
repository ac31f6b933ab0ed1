#pragma once
// What the operating system is told about pages of memory. Advice: nothing fails where it is not
// taken.

#include <cstddef>
#include <span>

#include "runtime/base/bytes.h"

namespace inkling {

// Of a map: lets the system take the pages inside these bytes back. They are read again when they
// are touched.
void release_pages(ByteSpan bytes) noexcept;

// Huge pages begin at multiples of their size. Of memory that is read through again and again they
// spare most of the look-ups of addresses.
inline constexpr std::size_t kHugePageBytes = std::size_t{1} << 21;
// Asks for them where they lie wholly inside these bytes, so that no memory is spent on it. Before
// the first touch.
void prefer_huge_pages(std::span<std::byte> bytes) noexcept;

}  // namespace inkling
