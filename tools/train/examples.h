#pragma once
// Examples to learn from or to measure on: pictures, or rows of a table.

#include <optional>
#include <span>
#include <variant>

#include "autograd/data/picture_set.h"
#include "autograd/data/table.h"

namespace inkling::tools {

struct Examples {
  std::variant<PictureSet, Table> set;

  const LabelledRows& rows() const;
  const PictureSet* pictures() const { return std::get_if<PictureSet>(&set); }
  const Table* table() const { return std::get_if<Table>(&set); }
  std::span<const SkippedPicture> skipped() const;
  const char* noun() const { return pictures() ? "pictures" : "rows"; }
};

struct ExampleSets {
  Examples train;
  std::optional<Examples> test;
};

// A file of numbers: NumPy (.npy), SQLite, or CSV that is no label file of pictures
// (autograd/data/picture_set.h).
bool is_table_file(const Path& path);

// read_table, and of NumPy: a matrix with a row an example, whose columns are called 0, 1, 2, ...;
// the label is the last one where the source calls it "label".
Result<Table> read_table_file(TableSource source);

// "prefix:N": pictures whose file names begin with the same N characters, in whatever folder, are
// one group. kInvalidArgument: anything else, a shorter name, or pictures that have groups already.
Result<void> group_pictures(PictureSet& set, std::string_view how);

}  // namespace inkling::tools
