// Feeds bytes to the request parser twice, whole and in pieces cut where the input's first byte
// says, and wants the same verdict: a parser whose answer depends on how the network cuts its input
// can be smuggled through. What parses goes on to the target, query and version, and to the router.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "http/request.h"
#include "http/request_parser.h"
#include "http/router.h"

namespace {

using namespace holdfast::http;

struct Outcome {
  bool failed = false;
  bool done = false;
  std::string method;
  std::string target;
  std::string body;
  std::size_t left = 0;
  bool operator==(const Outcome&) const = default;
};

Outcome parse(std::string_view bytes, std::size_t piece) {
  RequestParser parser(4096);
  Outcome outcome;
  std::string waiting;
  while (!outcome.failed && !parser.done() && !bytes.empty()) {
    waiting += bytes.substr(0, piece);
    bytes.remove_prefix(std::min(piece, bytes.size()));
    for (std::size_t used = 1; used > 0 && !waiting.empty() && !parser.done();) {
      auto fed = parser.feed(waiting);
      if (!fed) {
        outcome.failed = true;
        break;
      }
      used = *fed;
      if (used > waiting.size()) std::abort();
      waiting.erase(0, used);
      outcome.body += parser.take_body();
    }
  }
  outcome.done = !outcome.failed && parser.done();
  if (outcome.done) {
    outcome.method = parser.head().method;
    outcome.target = parser.head().target;
    outcome.left = waiting.size() + bytes.size();
  } else {
    outcome.body.clear();
  }
  return outcome;
}

const Router& router() {
  static const Router routes = [] {
    Router made;
    for (auto pattern : {"/_ping", "/containers/{id}/json", "/images/{name:.*}/json",
                         "/images/{name:.*}", "/networks/{id}/connect"})
      made.add("GET", pattern, nullptr);
    return made;
  }();
  return routes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  std::size_t piece = 1 + data[0] % 64;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  Outcome whole = parse(bytes, bytes.size());
  if (!(whole == parse(bytes, piece))) std::abort();
  std::string_view target_text = whole.done ? std::string_view(whole.target) : bytes;
  auto target = parse_target(target_text);
  if (!target) return 0;
  if (target->version < kMinApiVersion || target->version > kMaxApiVersion) std::abort();
  for (const auto& [name, value] : target->query.items()) {
    target->query.flag(name);
    static_cast<void>(target->query.number(name));
  }
  auto match = router().match("GET", target->segments);
  for (const auto& [name, value] : match.params)
    if (value.empty()) std::abort();
  return 0;
}
