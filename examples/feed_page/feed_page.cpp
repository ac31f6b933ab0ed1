// feed_page DATA FOLDER PAGE.html PORT: a web page on this machine, over the C interface, in which
// one reorders a feed by choosing from it. DATA is what camera_feed made; FOLDER keeps the log.
//
//   build/bin/camera_feed /tmp/feed && build/bin/feed_page /tmp/feed /tmp/me
//   examples/feed_page/page.html 8080
//
// Listens on the loopback address alone; one person, one engine.

#include <httplib.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <iostream>
#include <iterator>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>

#include "embed/inkling.h"

namespace {

using Json = nlohmann::json;

constexpr std::size_t kFixed = 5, kShown = 10, kReasons = 3, kBodyBytesMax = 4096;

struct Item {
  std::uint64_t id = 0;
  std::vector<double> numbers{};
};

struct Catalogue {
  std::vector<std::string> names{};
  std::vector<Item> items{};
};

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> fields;
  std::istringstream in(line);
  for (std::string field; std::getline(in, field, ',');) fields.push_back(field);
  return fields;
}

// Every camera of the survey, in the order in which people met them: that is this server's order.
Catalogue read_catalogue(const std::string& path) {
  Catalogue catalogue;
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  catalogue.names = split(line);
  catalogue.names.erase(catalogue.names.begin(),
                        catalogue.names.begin() +
                            static_cast<std::ptrdiff_t>(std::min(kFixed, catalogue.names.size())));
  while (std::getline(file, line)) {
    const auto fields = split(line);
    if (fields.size() != kFixed + catalogue.names.size() || fields[4] == "1") continue;
    Item item{.id = catalogue.items.size() + 1};
    for (std::size_t i = kFixed; i < fields.size(); ++i)
      item.numbers.push_back(std::strtod(fields[i].c_str(), nullptr));
    catalogue.items.push_back(std::move(item));
  }
  return catalogue;
}

std::int64_t now_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

class Feed {
 public:
  Feed(ink_engine* engine, Catalogue catalogue)
      : engine_(engine),
        catalogue_(std::move(catalogue)),
        request_(static_cast<std::uint64_t>(now_ms())) {
    next_page();
  }

  Json page() {
    Json items = Json::array();
    for (const std::uint32_t i : order_) {
      Json features;
      for (std::size_t f = 0; f < catalogue_.names.size(); ++f)
        features[catalogue_.names[f]] = shown_[i]->numbers[f];
      items.push_back({{"item", shown_[i]->id}, {"server", i}, {"features", features}});
    }
    return {{"request", request_}, {"by", by_}, {"chosen", chosen_}, {"items", items}};
  }

  // The page that was on screen, and what was taken from it.
  Json choose(std::uint64_t request, std::uint64_t item) {
    if (request != request_) return page();  // a page from before: show the present one
    expect(
        ink_log_impressions(engine_, request_, ordered().data(), order_.size(), nullptr, now_ms()));
    expect(ink_log_event(engine_, INK_CLICK, request_, item, 0, 0, now_ms()));
    ++chosen_;
    next_page();
    return page();
  }

  Json why(std::uint64_t item) {
    Json reasons = Json::array();
    for (std::size_t i = 0; i < shown_.size(); ++i) {
      if (shown_[i]->id != item) continue;
      ink_reason found[kReasons];
      std::size_t count = kReasons;
      expect(ink_why(engine_, candidates_.data(), candidates_.size(), i, found, &count));
      for (std::size_t r = 0; r < count; ++r)
        reasons.push_back({{"feature", found[r].feature}, {"effect", found[r].effect}});
    }
    return {{"reasons", reasons}};
  }

  Json learn() {
    expect(ink_adapt(engine_, nullptr));
    rank();
    return page();
  }

  Json forget() {
    expect(ink_erase_all(engine_));
    chosen_ = 0;
    rank();
    return page();
  }

 private:
  void expect(ink_status status) const {
    if (status != INK_OK) throw std::runtime_error(ink_last_error(engine_));
  }

  void next_page() {
    ++request_;
    shown_.clear();
    for (std::size_t i = 0; i < kShown; ++i)
      shown_.push_back(&catalogue_.items[next_++ % catalogue_.items.size()]);
    features_.assign(kShown, {});
    candidates_.clear();
    for (std::size_t i = 0; i < kShown; ++i) {
      for (std::size_t f = 0; f < catalogue_.names.size(); ++f)
        features_[i].push_back({catalogue_.names[f].c_str(), shown_[i]->numbers[f], nullptr});
      ink_candidate c{};
      c.struct_size = sizeof c;
      c.item = shown_[i]->id;
      c.features = features_[i].data();
      c.feature_count = features_[i].size();
      candidates_.push_back(c);
    }
    rank();
  }

  void rank() {
    order_.resize(candidates_.size());
    expect(ink_rerank(engine_, candidates_.data(), candidates_.size(), 0, order_.data(), &by_));
  }

  std::vector<ink_candidate> ordered() const {
    std::vector<ink_candidate> list;
    for (const std::uint32_t i : order_) list.push_back(candidates_[i]);
    return list;
  }

  ink_engine* engine_;
  Catalogue catalogue_;
  std::uint64_t request_, chosen_ = 0;
  std::size_t next_ = 0;
  std::vector<const Item*> shown_{};
  std::vector<std::vector<ink_feature>> features_{};
  std::vector<ink_candidate> candidates_{};
  std::vector<std::uint32_t> order_{};
  ink_ranked_by by_ = INK_SERVER_NO_MODEL;
};

// Only a page of this server may act: other sites' pages cannot send JSON without asking first, and
// another name that points here is refused.
bool is_own(const httplib::Request& request) {
  const std::string host = request.get_header_value("Host");
  return (host.starts_with("127.0.0.1:") || host.starts_with("localhost:")) &&
         (request.method == "GET" ||
          request.get_header_value("Content-Type").starts_with("application/json"));
}

void serve(httplib::Server& server, Feed& feed, const std::string& html, int port) {
  auto mutex = std::make_shared<std::mutex>();  // the server's threads share one engine
  const auto answer = [mutex](const httplib::Request& request, httplib::Response& response,
                              const std::function<Json(const Json&)>& action) {
    if (!is_own(request)) {
      response.status = 403;
      return;
    }
    const Json body = Json::parse(request.body.empty() ? "{}" : request.body, nullptr, false);
    if (!body.is_object()) {
      response.status = 400;
      return;
    }
    const std::lock_guard lock(*mutex);
    try {
      response.set_content(action(body).dump(), "application/json");
    } catch (const std::exception& error) {
      response.status = 409;
      response.set_content(Json{{"error", error.what()}}.dump(), "application/json");
    }
  };
  server.set_payload_max_length(kBodyBytesMax);
  server.Get("/", [&](const httplib::Request&, httplib::Response& response) {
    response.set_content(html, "text/html; charset=utf-8");
  });
  server.Get("/feed", [&](const auto& q, auto& r) {
    answer(q, r, [&](const Json&) { return feed.page(); });
  });
  server.Post("/choose", [&](const auto& q, auto& r) {
    answer(q, r, [&](const Json& b) { return feed.choose(b.at("request"), b.at("item")); });
  });
  server.Post("/why", [&](const auto& q, auto& r) {
    answer(q, r, [&](const Json& b) { return feed.why(b.at("item")); });
  });
  server.Post("/learn", [&](const auto& q, auto& r) {
    answer(q, r, [&](const Json&) { return feed.learn(); });
  });
  server.Post("/forget", [&](const auto& q, auto& r) {
    answer(q, r, [&](const Json&) { return feed.forget(); });
  });
  const bool bound = port == 0 ? (port = server.bind_to_any_port("127.0.0.1")) > 0
                               : server.bind_to_port("127.0.0.1", port);
  if (!bound) throw std::runtime_error("the port is taken");
  std::cout << "http://127.0.0.1:" << port << "/" << std::endl;
  server.listen_after_bind();
}

void run(char** argv) {
  const std::string data = argv[1], folder = argv[2], html = read_text(argv[3]);
  const std::string bundle = read_text(data + "/camera.bundle");
  Catalogue catalogue = read_catalogue(data + "/camera.csv");
  if (bundle.empty() || catalogue.items.empty() || html.empty())
    throw std::runtime_error("DATA has no camera.bundle and camera.csv, or PAGE.html is not there");
  ink_options options{};
  options.struct_size = sizeof options;
  options.folder = folder.c_str();
  // The bundle comes from this machine; an app that downloads it checks a signature here.
  options.verify = [](void*, const void*, size_t, const void*, size_t) { return 1; };
  ink_engine* engine = nullptr;
  if (ink_open(&options, &engine) != INK_OK) throw std::runtime_error("the engine does not open");
  const std::unique_ptr<ink_engine, void (*)(ink_engine*)> owner(engine, ink_close);
  // INK_VERIFICATION: this folder has this version already.
  const ink_status updated = ink_update_model(engine, bundle.data(), bundle.size(), nullptr, 0);
  if (updated != INK_OK && updated != INK_VERIFICATION)
    throw std::runtime_error(ink_last_error(engine));
  Feed feed(engine, std::move(catalogue));
  httplib::Server server;
  serve(server, feed, html, std::atoi(argv[4]));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: feed_page DATA FOLDER PAGE.html PORT   (0: any)\n";
    return 2;
  }
  try {
    run(argv);
  } catch (const std::exception& error) {
    std::cerr << "feed_page: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
