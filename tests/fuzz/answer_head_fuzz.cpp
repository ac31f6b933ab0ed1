// Any bytes as the head of a server's answer, as a device reads it.

#include "federated/http/answer_head.h"
#include "federated/http/message.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::uint64_t kBodyMax = 1 << 20;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto head = inkling::check_answer_head(text, kBodyMax)) {
    INK_INVARIANT(head->status >= 0 && head->status <= 999);
    INK_INVARIANT(head->content_length.value_or(0) <= kBodyMax);
    INK_INVARIANT(head->content_length || head->closes);
  }
  if (const auto length = inkling::parse_content_length(text)) {
    INK_INVARIANT(size > 0 && text.find_first_not_of("0123456789") == text.npos);
  }
  return 0;
}
