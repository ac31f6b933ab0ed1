#pragma once
// The household panel on margarine of R's bayesm (Allenby and Rossi, "Quality Perceptions and
// Asymmetric Switching Between Brands", Marketing Science 10, 1991): 4,470 purchases of ten
// products by 516 households, in time order, with the prices of all ten.
//
// Features: the product as a category and its price in dollars. Households with fewer than five
// purchases are left out; of each other one the first 70 % (rounded up) train, the rest test.

#include "runtime/base/file.h"
#include "tools/datasets/choice_data.h"

namespace inkling {

inline constexpr std::string_view kMargarineFile =
    "/usr/lib/R/site-library/bayesm/data/margarine.rda";
inline constexpr std::size_t kMargarineProducts = 10;
inline constexpr std::size_t kMargarinePurchasesMin = 5;

// Users are household numbers, items are products from 1, purchases are a day apart. Errors as
// load_camera().
Result<ChoiceData> load_margarine(const Path& file = Path(kMargarineFile));

}  // namespace inkling
