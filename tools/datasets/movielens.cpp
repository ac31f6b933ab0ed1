#include "tools/datasets/movielens.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "convert/rdata/lazy_data.h"
#include "tools/datasets/factorize.h"

namespace inkling {

namespace {

constexpr double kYearMissing = 1990;
constexpr std::size_t kEmbedding = 8;

struct Row {
  std::int64_t user, time, movie;
  double rating, year;
  std::string_view genres;
};

// The strings behind a factor's codes, or those of a character column.
Result<std::vector<std::string_view>> texts(const RValue& column) {
  const RValue* levels = column.attribute("levels");
  const auto* strings = std::get_if<RStrings>(levels == nullptr ? &column.data : &levels->data);
  if (strings == nullptr)
    return fail(ErrorCode::kInvalidArgument, column.kind(), " column, expected texts");
  std::vector<std::string_view> named;
  for (const auto& text : strings->values) named.push_back(text ? std::string_view(*text) : "");
  if (levels == nullptr) return named;
  INK_TRY(const std::vector<std::int64_t> codes, column.whole_numbers());
  std::vector<std::string_view> out;
  for (const std::int64_t code : codes) {
    if (code < 1 || code > static_cast<std::int64_t>(named.size()))
      return fail(ErrorCode::kInvalidArgument, "level ", code, " of ", named.size());
    out.push_back(named[static_cast<std::size_t>(code - 1)]);
  }
  return out;
}

Result<std::vector<Row>> read_rows(const RValue& table) {
  const auto column = [&](const char* name) { return table.field(name); };
  INK_TRY(const RValue* user_column, column("userId"));
  INK_TRY(const RValue* movie_column, column("movieId"));
  INK_TRY(const RValue* time_column, column("timestamp"));
  INK_TRY(const RValue* rating_column, column("rating"));
  INK_TRY(const RValue* year_column, column("year"));
  INK_TRY(const RValue* genre_column, column("genres"));
  INK_TRY(const auto users, user_column->whole_numbers());
  INK_TRY(const auto movies, movie_column->whole_numbers());
  INK_TRY(const auto times, time_column->whole_numbers());
  INK_TRY(const auto ratings, rating_column->numbers());
  INK_TRY(const auto years, year_column->numbers());
  INK_TRY(const auto genres, texts(*genre_column));
  for (const std::size_t size :
       {movies.size(), times.size(), ratings.size(), years.size(), genres.size()}) {
    if (size != users.size())
      return fail(ErrorCode::kInvalidArgument, "columns of ", users.size(), " and ", size, " rows");
  }
  std::vector<Row> rows;
  for (std::size_t i = 0; i < users.size(); ++i) {
    if (users[i] < 0 || movies[i] < 0 || times[i] < 0 || !std::isfinite(ratings[i]))
      return fail(ErrorCode::kInvalidArgument, "row ", i, ": a number that is missing or negative");
    rows.push_back({users[i], times[i], movies[i], ratings[i], years[i], genres[i]});
  }
  if (rows.empty()) return fail(ErrorCode::kInvalidArgument, "no ratings");
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return std::pair(a.user, a.time) < std::pair(b.user, b.time);
  });
  return rows;
}

std::set<std::string> split_genres(std::string_view genres) {
  std::set<std::string> names;
  while (!genres.empty()) {
    const std::size_t bar = std::min(genres.find('|'), genres.size());
    names.emplace(genres.substr(0, bar));
    genres.remove_prefix(std::min(bar + 1, genres.size()));
  }
  return names;
}

// R's default quantile (Hyndman and Fan, type 7).
double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  const double at = q * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const std::size_t high = std::min(low + 1, values.size() - 1);
  return values[low] + (at - static_cast<double>(low)) * (values[high] - values[low]);
}

// What turns rows into pages.
struct Feed {
  std::vector<std::string> genres;
  std::map<std::int64_t, std::size_t> users, movies;  // numbers from 0
  double cut = 0;                                     // time
  Factorization server;
};

Result<Feed> prepare(const std::vector<Row>& rows) {
  std::set<std::string> genres;
  std::map<std::int64_t, std::size_t> users, movies;
  std::vector<double> times;
  for (const Row& row : rows) {
    genres.merge(split_genres(row.genres));
    users.try_emplace(row.user, users.size());
    movies.try_emplace(row.movie, movies.size());
    times.push_back(static_cast<double>(row.time));
  }
  const double cut = quantile(std::move(times), kMovieLensTrainShare);
  std::vector<Rating> ratings;
  for (const Row& row : rows)
    if (static_cast<double>(row.time) <= cut)
      ratings.push_back({users.at(row.user), movies.at(row.movie), row.rating});
  INK_TRY(Factorization server,
          Factorization::create(ratings, users.size(), movies.size(), {.dimensions = kEmbedding}));
  return Feed{.genres = {genres.begin(), genres.end()},
              .users = std::move(users),
              .movies = std::move(movies),
              .cut = cut,
              .server = std::move(server)};
}

Result<FeatureSchema> movielens_schema(const Feed& feed) {
  std::vector<FeatureSpec> features = {{.name = "server_score", .mean = 3.5, .scale = 0.5},
                                       {.name = "popularity", .mean = 3, .scale = 1.5},
                                       {.name = "year", .mean = kYearMissing, .scale = 20}};
  for (const std::string& genre : feed.genres) features.push_back({.name = "genre/" + genre});
  for (std::size_t i = 0; i < kEmbedding; ++i)
    features.push_back({.name = concat("embedding/", i), .scale = 0.25});
  return FeatureSchema::create(1, std::move(features));
}

Candidate candidate(const Row& row, const Feed& feed) {
  const ItemView view = feed.server.view(feed.users.at(row.user), feed.movies.at(row.movie));
  Candidate c{.item = static_cast<ItemId>(row.movie), .server_score = view.mean};
  c.features = {{"server_score", view.mean},
                {"popularity", std::log1p(view.count)},
                {"year", std::isfinite(row.year) ? row.year : kYearMissing}};
  const std::set<std::string> own = split_genres(row.genres);
  for (const std::string& genre : feed.genres)
    c.features.push_back({"genre/" + genre, own.contains(genre) ? 1.0 : 0.0});
  for (std::size_t i = 0; i < kEmbedding; ++i)
    c.features.push_back({concat("embedding/", i), view.embedding[i]});
  return c;
}

Slate page(std::span<const Row> rows, std::size_t number, const Feed& feed) {
  Slate slate{.user = static_cast<UserId>(rows.front().user),
              .request = number,
              .time_ms = rows.front().time * 1000};
  std::vector<std::pair<Candidate, bool>> shown;
  for (const Row& row : rows)
    shown.emplace_back(candidate(row, feed), row.rating >= kMovieLensRelevant);
  std::stable_sort(shown.begin(), shown.end(), [](const auto& a, const auto& b) {
    return a.first.server_score > b.first.server_score;
  });
  for (auto& [item, relevant] : shown) {
    if (relevant) slate.chosen.push_back(slate.candidates.size());
    slate.candidates.push_back(std::move(item));
  }
  return slate;
}

Result<ChoiceData> read_pages(const RValue& table) {
  INK_TRY(const std::vector<Row> rows, read_rows(table));
  INK_TRY(const Feed feed, prepare(rows));
  INK_TRY(FeatureSchema schema, movielens_schema(feed));
  ChoiceData data{.schema = std::move(schema)};
  for (std::size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
    Person person{.user = static_cast<UserId>(rows[begin].user)};
    while (end < rows.size() && rows[end].user == rows[begin].user) ++end;
    for (std::size_t at = begin, number = 1; at < end; at += kMovieLensPage, ++number) {
      const auto shown = std::span(rows).subspan(at, std::min(kMovieLensPage, end - at));
      const bool later = static_cast<double>(shown.back().time) > feed.cut;
      (later ? person.test : person.train).push_back(page(shown, number, feed));
    }
    data.people.push_back(std::move(person));
  }
  return data;
}

}  // namespace

Result<ChoiceData> load_movielens(const Path& stem) {
  auto table = read_lazy_data(stem, "movielens");
  if (!table && table.error().code == ErrorCode::kNotFound) {
    return fail(ErrorCode::kNotFound, "movielens: ", table.error().message,
                ": apt install r-cran-dslabs");
  }
  if (!table) return fail_within(std::move(table).error(), "movielens");
  auto data = read_pages(*table);
  if (!data) return fail_within(std::move(data).error(), "movielens: ", stem.string());
  return data;
}

}  // namespace inkling
