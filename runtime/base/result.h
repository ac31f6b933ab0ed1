#pragma once
// Result<T>: the one channel for everything that can fail.
//
// A function that can fail returns Result<T>; nothing throws across a layer. The code tells a
// caller what it can do, the message tells a person what happened, in one line: what, where, got,
// expected
// ("matmul: [2, 3] times [4, 5]: inner sizes differ").
//
// Values are immutable once made; any thread may hold one.

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace inkling {

enum class ErrorCode {
  kInvalidArgument,    // the caller passed something that can never work
  kUnsupported,        // well formed, but this build cannot do it
  kNotFound,           // a file, key, package or row that is not there
  kCorrupt,            // bytes that do not parse, or whose digest differs
  kIo,                 // the disk or the file system refused
  kNetwork,            // connection, TLS or HTTP trouble; may be retried
  kProtocol,           // the peer broke the protocol, or too few clients remained
  kVerification,       // a signature or identity that does not hold
  kResourceLimit,      // a named limit would be exceeded
  kFailedPrecondition  // right call, wrong moment
};

// The name as it is printed and logged, e.g. "corrupt".
std::string_view error_code_name(ErrorCode code);

struct Error {
  ErrorCode code;
  std::string message;
};

template <typename T>
using Result = tl::expected<T, Error>;

// An argument of concat() and how to print it: what stays at each place of call is a small table,
// not a stream, because there are a thousand such places in an app.
struct MessagePart {
  const void* value;
  void (*print)(std::ostream& out, const void* value);
};

template <typename T>
MessagePart message_part(const T& value) {
  return {&value, [](std::ostream& out, const void* v) { out << *static_cast<const T*>(v); }};
}
template <std::size_t kSize>
MessagePart message_part(const char (&text)[kSize]) {
  return {text, [](std::ostream& out, const void* v) { out << static_cast<const char*>(v); }};
}

std::string concat_parts(const MessagePart* parts, std::size_t count);

// Joins its arguments as an ostream would print them.
template <typename... Parts>
requires requires(std::ostream& out, const Parts&... parts) { (out << ... << parts); }
std::string concat(const Parts&... parts) {
  const MessagePart all[sizeof...(Parts) + 1] = {message_part(parts)..., {}};
  return concat_parts(all, sizeof...(Parts));
}

// return fail(ErrorCode::kCorrupt, "model ", path, ": ", n, " bytes, expected ", m);
template <typename... Parts>
tl::unexpected<Error> fail(ErrorCode code, const Parts&... parts) {
  return tl::unexpected<Error>(Error{code, concat(parts...)});
}

// Puts the place in front of an error that came from below: "reading x.ink: ...".
template <typename... Parts>
tl::unexpected<Error> fail_within(Error error, const Parts&... where) {
  error.message = concat(where..., ": ", error.message);
  return tl::unexpected<Error>(std::move(error));
}

// For our own bugs only, never for input: prints the broken invariant and aborts.
[[noreturn]] inline void broken_invariant(const char* file, int line, const char* what) {
  std::fprintf(stderr, "inkling: broken invariant at %s:%d: %s\n", file, line, what);
  std::abort();
}

}  // namespace inkling

#define INK_CONCAT_INNER(a, b) a##b
#define INK_CONCAT(a, b) INK_CONCAT_INNER(a, b)

// INK_TRY(auto value, compute());  returns the error from the enclosing function, or binds the
// value.
#define INK_TRY(declaration, expression) \
  INK_TRY_INNER(INK_CONCAT(ink_result_, __LINE__), declaration, expression)
#define INK_TRY_INNER(result, declaration, expression)                               \
  auto result = (expression);                                                        \
  if (!result) return ::tl::unexpected<::inkling::Error>(std::move(result).error()); \
  declaration = *std::move(result)

// INK_CHECK_OK(write(...));  the same, for a value that is not needed or stays where it is.
#define INK_CHECK_OK(expression)                                                      \
  do {                                                                                \
    auto&& ink_checked = (expression);                                                \
    if (!ink_checked) return ::tl::unexpected<::inkling::Error>(ink_checked.error()); \
  } while (false)

#define INK_INVARIANT(condition) \
  ((condition) ? void() : ::inkling::broken_invariant(__FILE__, __LINE__, #condition))
