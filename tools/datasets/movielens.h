#pragma once
// MovieLens latest-small of 2016 (Harper and Konstan, "The MovieLens Datasets", TiiS 5, 2015), from
// R's dslabs: 100,004 ratings of 9,066 films by 671 people, as feed pages.
//
// A page is 20 consecutive ratings of one person; a film of it is relevant when it got 4 or more.
// Test pages are those that do not lie wholly before the 80 % quantile of all times. Each page
// stands in the server's order: a mean rating pulled to the global one, from the ratings before the
// quantile alone, as are the number of ratings and an embedding of eight numbers; none of them
// knows what the person themselves said (tools/datasets/factorize.h). The other features are the
// genres and the year.
//
// GroupLens terms: research, no revenue use, no redistribution. The file is read where the package
// installs it and never copied.

#include "runtime/base/file.h"
#include "tools/datasets/choice_data.h"

namespace inkling {

inline constexpr std::string_view kMovieLensStem = "/usr/lib/R/site-library/dslabs/data/Rdata";
inline constexpr std::size_t kMovieLensPage = 20;
inline constexpr double kMovieLensRelevant = 4;
inline constexpr double kMovieLensTrainShare = 0.8;

// Users and items by MovieLens' numbers; pages without a relevant film have no choice.
// Errors as load_camera().
Result<ChoiceData> load_movielens(const Path& stem = Path(kMovieLensStem));

}  // namespace inkling
