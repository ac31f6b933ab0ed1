#include "tools/graph_picture.h"

#include <gvc.h>

#include <algorithm>
#include <map>
#include <memory>

namespace inkling::tools {

namespace {

constexpr std::size_t kNameMax = 60;

// Names come from files: printable ASCII, without graphviz' escapes, and short.
std::string printable(std::string_view name) {
  std::string text(name.substr(0, kNameMax));
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~' || c == '\\'; }, '?');
  return name.size() > kNameMax ? text + "..." : text;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : printable(text)) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '&') {
      out += "&amp;";
    } else {
      out += c;
    }
  }
  return out;
}

struct FreeContext {
  void operator()(GVC_t* context) const { gvFreeContext(context); }
};
struct CloseGraph {
  void operator()(Agraph_t* graph) const { agclose(graph); }
};

// The graph in graphviz' form. Its functions take what they do not change as char*.
class Drawing {
 public:
  Drawing() {
    std::string name = "graph";
    graph_.reset(agopen(name.data(), Agdirected, nullptr));
    declare(AGRAPH, "ranksep", "0.3");
    declare(AGNODE, "label", "");
    declare(AGNODE, "shape", "box");
    declare(AGNODE, "style", "rounded,filled");
    declare(AGNODE, "fillcolor", "white");
    declare(AGNODE, "fontname", "sans-serif");
    declare(AGNODE, "fontsize", "11");
    declare(AGEDGE, "arrowsize", "0.6");
  }

  Agnode_t* box(const std::string& label, const char* color) {
    std::string name = concat(count_++);
    Agnode_t* node = agnode(graph_.get(), name.data(), 1);
    set(node, "label", label);
    set(node, "fillcolor", color);
    return node;
  }
  void arrow(Agnode_t* from, Agnode_t* to) { agedge(graph_.get(), from, to, nullptr, 1); }

  Result<std::string> svg() {
    const std::unique_ptr<GVC_t, FreeContext> context(gvContext());
    char* bytes = nullptr;
    unsigned size = 0;
    if (gvLayout(context.get(), graph_.get(), "dot") != 0)
      return fail(ErrorCode::kFailedPrecondition, "graphviz: no layout");
    const bool drawn = gvRenderData(context.get(), graph_.get(), "svg", &bytes, &size) == 0;
    std::string result(drawn ? bytes : "", drawn ? size : 0);
    if (drawn) gvFreeRenderData(bytes);
    gvFreeLayout(context.get(), graph_.get());
    const std::size_t start = result.find("<svg");  // after a declaration and a comment
    if (start == std::string::npos)
      return fail(ErrorCode::kFailedPrecondition, "graphviz: no picture");
    return result.substr(start);
  }

 private:
  void declare(int kind, std::string attribute, std::string value) {
    agattr(graph_.get(), kind, attribute.data(), value.data());
  }
  static void set(Agnode_t* node, std::string attribute, std::string value) {
    agset(node, attribute.data(), value.data());
  }

  std::unique_ptr<Agraph_t, CloseGraph> graph_;
  std::size_t count_ = 0;
};

const char* color_of(OpKind op) {
  switch (op) {
    case OpKind::kMatmul:
    case OpKind::kConv2d:
    case OpKind::kConv2dInputGradient:
    case OpKind::kConv2dWeightGradient:
    case OpKind::kDepthwiseConv2d:
    case OpKind::kGru:
      return "#cfe3ff";
    case OpKind::kReshape:
    case OpKind::kTranspose:
    case OpKind::kBroadcastTo:
    case OpKind::kSlice:
    case OpKind::kPad:
    case OpKind::kConcat:
    case OpKind::kGather:
    case OpKind::kCast:
      return "#eeeeee";
    default:
      return "#fff2cc";
  }
}

}  // namespace

Result<std::string> draw_svg(const Graph& graph) {
  if (graph.nodes().size() > kDrawnNodesMax)
    return fail(ErrorCode::kResourceLimit, "a graph of ", graph.nodes().size(),
                " nodes, drawn are ", kDrawnNodesMax, " at most");
  Drawing drawing;
  std::map<ValueId, Agnode_t*> makers;
  const auto leaf = [&](ValueId id, const char* kind) {
    makers[id] = drawing.box(
        concat(kind, " ", printable(graph.value(id).name), "\\n", graph.spec(id)), "#d5f0d5");
  };
  for (const ValueId id : graph.inputs()) leaf(id, "input");
  for (const ValueId id : graph.variables()) leaf(id, "variable");
  for (const Node& node : graph.nodes()) {
    const Value& result = graph.value(node.outputs[0]);
    std::string label = std::string(op_name(node.op));
    for (const ValueId input : node.inputs) {
      if (graph.value(input).kind == ValueKind::kConstant)
        label += concat("\\n", graph.spec(input));
    }
    if (!result.name.empty()) label += "\\n" + printable(result.name);
    label += concat("\\n-> ", result.spec);
    Agnode_t* box = drawing.box(label, color_of(node.op));
    for (const ValueId output : node.outputs) makers[output] = box;
    for (const ValueId input : node.inputs) {
      if (const auto from = makers.find(input); from != makers.end())
        drawing.arrow(from->second, box);
    }
  }
  for (const NamedValue& output : graph.outputs()) {
    Agnode_t* box = drawing.box(
        concat("output ", printable(output.name), "\\n", graph.spec(output.value)), "#f6d6d6");
    if (const auto from = makers.find(output.value); from != makers.end())
      drawing.arrow(from->second, box);
  }
  return drawing.svg();
}

std::string as_html(const std::string& svg, const std::string& title) {
  return concat("<!doctype html>\n<meta charset=\"utf-8\">\n<title>", escaped(title),
                "</title>\n<style>body { margin: 1em; font-family: sans-serif }</style>\n<h1>",
                escaped(title), "</h1>\n", svg);
}

}  // namespace inkling::tools
