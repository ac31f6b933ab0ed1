#pragma once
// A graph as a picture: one box a node with its op, name and result, values along the arrows,
// constants left out. SVG by graphviz, which needs nothing else to be seen.

#include <string>

#include "runtime/graph.h"

namespace inkling::tools {

inline constexpr std::size_t kDrawnNodesMax = 3000;  // laying out takes more than linear time

// kResourceLimit: more than kDrawnNodesMax nodes.
Result<std::string> draw_svg(const Graph& graph);
std::string as_html(const std::string& svg, const std::string& title);

}  // namespace inkling::tools
