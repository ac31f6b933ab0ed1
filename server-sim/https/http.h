#pragma once
// Requests and responses as handlers see them, and problem+json (RFC 9457) for refusals.

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "federated/http/message.h"
#include "runtime/base/bytes.h"

namespace inkling {

struct HttpRequest {
  std::string method;      // GET, HEAD or POST
  std::string path;        // from '/' to before '?', as sent: percent signs are not decoded
  std::string query;       // after '?', as sent
  HttpFields fields = {};  // those with a meaning of their own are there once
  Bytes body = {};
  std::string peer;  // the client's address, without port
  // The name in the certificate that the client had to show; empty where none is asked for.
  std::string certificate_name = {};

  std::string_view field(std::string_view lower_case_name) const {  // empty when absent
    return find_field(fields, lower_case_name);
  }
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/octet-stream";
  Bytes body = {};
  HttpFields fields = {};
  // A stream in place of a body: called on the connection's thread for one piece after the other,
  // each sent at once, until there is none. It may wait for news, but not for ever: an empty piece
  // lets the server see whether it is stopping or the peer has gone.
  std::function<std::optional<Bytes>()> next_piece = {};
};

std::string_view status_title(int status);  // "Not Found"; "Error" for a status we never send

// detail goes to the peer: it must hold no secret and nothing about other clients.
HttpResponse problem(int status, std::string_view detail);

// 400 invalid argument or protocol, 403 verification, 404 not found, 409 failed precondition,
// 413 resource limit, 415 unsupported, 422 corrupt, 503 network, 500 anything else. The message of
// an internal failure (500, 503) stays here: it may name files.
HttpResponse problem(const Error& error);

}  // namespace inkling
