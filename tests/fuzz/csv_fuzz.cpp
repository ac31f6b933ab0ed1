// CSV files and the tables in them: what is read keeps to what it says of itself.

#include "autograd/data/csv.h"

#include <cstdlib>

#include "autograd/data/table.h"
#include "runtime/base/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace inkling;
  CsvReader reader(as_text({data, size}));
  std::vector<std::string> cells;
  auto more = reader.next(cells);
  if (!more || !*more) return 0;
  auto builder = TableBuilder::create({.path = {}, .label = cells[0]}, cells);
  std::size_t line = 0;
  while (true) {
    more = reader.next(cells);
    if (!more || !*more) break;
    if (reader.line() <= line || cells.empty()) std::abort();
    line = reader.line();
    if (builder && !builder->add(cells, concat(line))) return 0;
  }
  if (!builder) return 0;
  const auto table = std::move(*builder).finish();
  const std::size_t labelled = table && !table->label_column.empty() ? table->count() : 0;
  if (table && (table->values.size() != table->count() * table->columns.size() ||
                table->labels.size() != labelled)) {
    std::abort();
  }
  return 0;
}
