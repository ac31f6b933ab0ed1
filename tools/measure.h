#pragma once
// What a command measures of itself.

#include <chrono>

namespace inkling::tools {

using SteadyTime = std::chrono::steady_clock::time_point;
inline SteadyTime steady_now() { return std::chrono::steady_clock::now(); }
double seconds_since(SteadyTime start);

// The most memory that this process has held, in 10^6 bytes; of the program that started it when
// that was more (Linux keeps the mark across exec). 0 where it is not known.
double peak_rss_mb();

// The memory that this process holds now, in bytes; 0 where it is not known.
std::size_t resident_bytes();

}  // namespace inkling::tools
