#include "server-sim/https/http.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace inkling {
namespace {

struct Title {
  int status;
  std::string_view text;
};

constexpr std::array kTitles = {Title{200, "OK"},
                                Title{400, "Bad Request"},
                                Title{401, "Unauthorized"},
                                Title{403, "Forbidden"},
                                Title{404, "Not Found"},
                                Title{405, "Method Not Allowed"},
                                Title{408, "Request Timeout"},
                                Title{409, "Conflict"},
                                Title{411, "Length Required"},
                                Title{413, "Content Too Large"},
                                Title{414, "URI Too Long"},
                                Title{415, "Unsupported Media Type"},
                                Title{417, "Expectation Failed"},
                                Title{422, "Unprocessable Content"},
                                Title{429, "Too Many Requests"},
                                Title{431, "Request Header Fields Too Large"},
                                Title{500, "Internal Server Error"},
                                Title{501, "Not Implemented"},
                                Title{503, "Service Unavailable"},
                                Title{505, "HTTP Version Not Supported"}};

int status_for(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kProtocol:
      return 400;
    case ErrorCode::kVerification:
      return 403;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kFailedPrecondition:
      return 409;
    case ErrorCode::kResourceLimit:
      return 413;
    case ErrorCode::kUnsupported:
      return 415;
    case ErrorCode::kCorrupt:
      return 422;
    case ErrorCode::kNetwork:
      return 503;
    case ErrorCode::kIo:
      return 500;
  }
  return 500;
}

}  // namespace

std::string_view status_title(int status) {
  const auto found = std::find_if(kTitles.begin(), kTitles.end(),
                                  [&](const Title& title) { return title.status == status; });
  return found == kTitles.end() ? "Error" : found->text;
}

HttpResponse problem(int status, std::string_view detail) {
  const nlohmann::ordered_json json = {{"type", "about:blank"},
                                       {"title", status_title(status)},
                                       {"status", status},
                                       {"detail", detail}};
  const std::string text =
      json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  HttpResponse response;
  response.status = status;
  response.content_type = "application/problem+json";
  response.body.assign(text.begin(), text.end());
  return response;
}

HttpResponse problem(const Error& error) {
  const int status = status_for(error.code);
  return problem(status, status >= 500 ? status_title(status) : std::string_view(error.message));
}

}  // namespace inkling
