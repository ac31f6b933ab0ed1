#include "tools/datasets/margarine.h"

#include <algorithm>

#include "tools/datasets/r_package.h"

namespace inkling {

namespace {

constexpr std::int64_t kDayMs = 24 * 3600 * 1000;
constexpr std::size_t kFirstPriceColumn = 2;  // after hhid and choice
constexpr std::string_view kColumnPrefix = "P";

struct Panel {
  std::vector<std::int64_t> households;  // one per purchase, as the two below
  std::vector<std::int64_t> choices;     // from 1
  std::vector<std::string> products;
  std::vector<std::vector<double>> prices;  // [product][purchase]
};

Result<Panel> read_panel(const RValue& table) {
  Panel panel;
  INK_TRY(const auto columns, table.elements());
  const std::vector<std::string> names = table.names();
  if (columns.size() != kFirstPriceColumn + kMargarineProducts || names.size() != columns.size())
    return fail(ErrorCode::kInvalidArgument, "choicePrice has ", columns.size(), " columns of ",
                names.size(), " names, expected ", kFirstPriceColumn + kMargarineProducts);
  INK_TRY(const RValue* households, table.field("hhid"));
  INK_TRY(const RValue* choices, table.field("choice"));
  INK_TRY(panel.households, households->whole_numbers());
  INK_TRY(panel.choices, choices->whole_numbers());
  std::size_t shortest = std::min(panel.households.size(), panel.choices.size());
  for (std::size_t i = kFirstPriceColumn; i < columns.size(); ++i) {
    INK_TRY(std::vector<double> prices, columns[i].numbers());
    shortest = std::min(shortest, prices.size());
    panel.prices.push_back(std::move(prices));
    const bool prefixed = names[i].starts_with(kColumnPrefix);
    panel.products.push_back(names[i].substr(prefixed ? kColumnPrefix.size() : 0));
  }
  if (shortest != panel.households.size())
    return fail(ErrorCode::kInvalidArgument, "choicePrice has columns of different lengths");
  return panel;
}

Result<Slate> read_purchase(const Panel& panel, std::size_t purchase, std::size_t number) {
  const std::int64_t household = panel.households[purchase];
  const std::int64_t choice = panel.choices[purchase];
  if (household < 0 || choice < 1 || choice > static_cast<std::int64_t>(kMargarineProducts)) {
    return fail(ErrorCode::kInvalidArgument, "purchase ", purchase + 1, ": household ", household,
                " chose ", choice, ", expected a product from 1 to ", kMargarineProducts);
  }
  Slate slate{.user = static_cast<UserId>(household),
              .request = number,
              .time_ms = static_cast<std::int64_t>(number) * kDayMs,
              .chosen = {static_cast<std::size_t>(choice - 1)}};
  for (std::size_t product = 0; product < kMargarineProducts; ++product) {
    slate.candidates.push_back({.item = product + 1,
                                .features = {{"product", panel.products[product]},
                                             {"price", panel.prices[product][purchase]}}});
  }
  return slate;
}

// The purchases [begin, end) of one household.
Result<Person> read_household(const Panel& panel, std::size_t begin, std::size_t end) {
  const std::size_t train = ((end - begin) * 7 + 9) / 10;
  Person person{.user = static_cast<UserId>(panel.households[begin])};
  for (std::size_t i = begin; i < end; ++i) {
    INK_TRY(Slate slate, read_purchase(panel, i, i - begin + 1));
    (i - begin < train ? person.train : person.test).push_back(std::move(slate));
  }
  return person;
}

Result<ChoiceData> read_choices(const RValue& margarine) {
  INK_TRY(const RValue* table, margarine.field("choicePrice"));
  INK_TRY(const Panel panel, read_panel(*table));
  INK_TRY(FeatureSchema schema,
          FeatureSchema::create(
              1, {{.name = "product", .kind = FeatureKind::kCategory, .categories = panel.products},
                  {.name = "price"}}));
  ChoiceData data{.schema = std::move(schema)};
  const auto& households = panel.households;
  for (std::size_t begin = 0, end = 0; begin < households.size(); begin = end) {
    while (end < households.size() && households[end] == households[begin]) ++end;
    if (end - begin < kMargarinePurchasesMin) continue;
    INK_TRY(Person person, read_household(panel, begin, end));
    data.people.push_back(std::move(person));
  }
  return data;
}

}  // namespace

Result<ChoiceData> load_margarine(const Path& file) {
  INK_TRY(const RValue margarine, read_packaged("margarine", "r-cran-bayesm", file));
  auto data = read_choices(margarine);
  if (!data) return fail_within(std::move(data).error(), "margarine: ", file.string());
  return data;
}

}  // namespace inkling
