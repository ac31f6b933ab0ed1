#pragma once
// TomlReader: typed values out of a TOML file, with the file's unknown keys as errors.
//
// Ask for every key that means something, then finish(): what the file has beyond that is an error
// that names the key and the nearest one that exists. Values may be replaced first (--set
// key=value). The first error latches, so that reading code reads like a list of settings.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/result.h"

namespace inkling::tools {

class TomlReader {
 public:
  static Result<TomlReader> open(const Path& file);
  static Result<TomlReader> parse(std::string_view text, std::string_view name);
  TomlReader(TomlReader&&) noexcept;
  TomlReader& operator=(TomlReader&&) noexcept;
  ~TomlReader();

  // "local.rate=0.1": the value as in TOML, or a bare word as a string. Creates missing tables.
  Result<void> set(std::string_view assignment);

  // Keys are dotted paths. A missing key leaves `value` as it is; a wrong type latches
  // kInvalidArgument with file, line and what was expected.
  void read(std::string_view key, bool& value);
  void read(std::string_view key, double& value);
  void read(std::string_view key, std::uint64_t& value);  // 0..2^63 - 1
  void read(std::string_view key, std::string& value);
  void read(std::string_view key, std::vector<std::int64_t>& value);
  void read(std::string_view key, std::vector<std::string>& value);

  // The latched error, or kInvalidArgument for the first key that nobody read.
  Result<void> finish() const;

  // The document as it now is, in TOML.
  std::string text() const;

 private:
  struct State;
  explicit TomlReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace inkling::tools
