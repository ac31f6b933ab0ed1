#pragma once
// Counts heap allocations. A test program that links allocations.cpp replaces operator new.

#include <cstddef>

namespace inkling::test {

std::size_t allocations();  // since the program began, of every thread

}  // namespace inkling::test
