#include "client/engine_client.h"

#include <charconv>
#include <cstdlib>

namespace holdfast::client {
namespace {

constexpr std::string_view kOwnApi = "/holdfast/";

Code code_of_status(int status) {
  switch (status) {
    case 400:
      return Code::kInvalidArgument;
    case 401:
      return Code::kUnauthenticated;
    case 403:
      return Code::kPermissionDenied;
    case 404:
      return Code::kNotFound;
    case 409:
      return Code::kConflict;
    case 501:
      return Code::kNotImplemented;
    case 503:
      return Code::kUnavailable;
    default:
      return Code::kInternal;
  }
}

tl::unexpected<Error> daemon_error(Response& response) {
  auto body = response.read_all(4 << 20).value_or("");
  std::string message;
  if (auto object = json::parse_object(body)) message = json::string_or(*object, "message");
  if (message.empty()) message = body;
  while (message.ends_with('\n') || message.ends_with(' ')) message.pop_back();
  if (message.empty()) {
    message = fmt::format("request returned {} for API route, check if the server supports it",
                          response.status());
  }
  return fail(code_of_status(response.status()), "Error response from daemon: {}", message);
}

Result<json::Value> json_body(Response response) {
  ASSIGN_OR_RETURN(auto body, response.read_all());
  if (body.empty() || response.header("Content-Type").find("json") == std::string::npos)
    return json::Value(nullptr);
  return json::parse(body).map_error(
      [](Error error) { return std::move(error).wrap("the daemon's answer"); });
}

std::string with_query(std::string target, const Query& query) {
  char separator = '?';
  for (const auto& [key, value] : query) {
    target += separator + url_escape(key) + "=" + url_escape(value);
    separator = '&';
  }
  return target;
}

}  // namespace

int compare_versions(std::string_view a, std::string_view b) {
  while (!a.empty() || !b.empty()) {
    int left = 0;
    int right = 0;
    std::from_chars(a.data(), a.data() + a.size(), left);
    std::from_chars(b.data(), b.data() + b.size(), right);
    if (left != right) return left < right ? -1 : 1;
    auto advance = [](std::string_view& text) {
      auto dot = text.find('.');
      text = dot == std::string_view::npos ? std::string_view() : text.substr(dot + 1);
    };
    advance(a);
    advance(b);
  }
  return 0;
}

Result<Ping> EngineClient::ping() {
  Request request;
  request.target = "/_ping";
  ASSIGN_OR_RETURN(auto response, send_request(endpoint_, request));
  if (response.status() >= 400 && response.status() != 404) return daemon_error(response);
  Ping ping;
  ping.api_version = response.header("Api-Version");
  ping.os_type = response.header("Ostype");
  ping.experimental = response.header("Docker-Experimental") == "true";
  return ping;
}

Result<std::string> EngineClient::api_version() {
  if (version_) return *version_;
  if (const char* forced = std::getenv("DOCKER_API_VERSION"); forced && *forced) {
    version_ = forced;
    return *version_;
  }
  ASSIGN_OR_RETURN(auto answer, ping());
  // Daemons before 1.25 don't say; 1.24 is what Docker's own client assumes then.
  std::string theirs = answer.api_version.empty() ? "1.24" : answer.api_version;
  version_ = compare_versions(theirs, kApiVersion) < 0 ? theirs : std::string(kApiVersion);
  return *version_;
}

bool EngineClient::speaks(std::string_view version) {
  auto agreed = api_version();
  return agreed && compare_versions(*agreed, version) >= 0;
}

Result<std::string> EngineClient::target(std::string_view path, const Query& query) {
  if (path.starts_with(kOwnApi)) return with_query(std::string(path), query);
  ASSIGN_OR_RETURN(auto version, api_version());
  return with_query(fmt::format("/v{}{}", version, path), query);
}

Result<Response> EngineClient::open(Request request, std::string_view path, const Query& query) {
  ASSIGN_OR_RETURN(request.target, target(path, query));
  ASSIGN_OR_RETURN(auto response, send_request(endpoint_, request));
  if (response.status() < 400) return response;
  Error error = daemon_error(response).value();
  if (path.starts_with(kOwnApi) && error.message.ends_with("page not found"))
    return fail(Code::kNotImplemented, "this needs holdfastd, and {} is another daemon",
                endpoint_.text);
  return tl::unexpected(std::move(error));
}

Result<Stream> EngineClient::begin(Request request, std::string_view path, const Query& query) {
  ASSIGN_OR_RETURN(request.target, target(path, query));
  return begin_request(endpoint_, request);
}

Result<json::Value> EngineClient::finish(Stream stream) {
  ASSIGN_OR_RETURN(auto response, read_response(std::move(stream)));
  if (response.status() >= 400) return daemon_error(response);
  return json_body(std::move(response));
}

Result<json::Value> EngineClient::get(std::string_view path, const Query& query) {
  ASSIGN_OR_RETURN(auto response, open(Request{}, path, query));
  return json_body(std::move(response));
}

Result<json::Value> EngineClient::post(std::string_view path, const Query& query,
                                       const json::Value& body, const Headers& headers) {
  Request request;
  request.method = "POST";
  request.headers = headers;
  if (!body.is_null()) {
    request.headers.emplace_back("Content-Type", "application/json");
    request.body = json::serialize(body);
  }
  ASSIGN_OR_RETURN(auto response, open(std::move(request), path, query));
  return json_body(std::move(response));
}

Result<json::Value> EngineClient::remove(std::string_view path, const Query& query) {
  Request request;
  request.method = "DELETE";
  ASSIGN_OR_RETURN(auto response, open(std::move(request), path, query));
  return json_body(std::move(response));
}

Result<json::Value> EngineClient::patch(std::string_view path, const json::Value& body) {
  Request request;
  request.method = "PATCH";
  request.headers.emplace_back("Content-Type", "application/json");
  request.body = json::serialize(body);
  ASSIGN_OR_RETURN(auto response, open(std::move(request), path));
  return json_body(std::move(response));
}

Result<EngineClient::Hijacked> EngineClient::hijack(std::string_view path, const Query& query,
                                                    const json::Value& body) {
  Request request;
  request.method = "POST";
  request.upgrade = true;
  request.headers.emplace_back("Content-Type", body.is_null() ? "text/plain" : "application/json");
  if (!body.is_null()) request.body = json::serialize(body);
  ASSIGN_OR_RETURN(auto response, open(std::move(request), path, query));
  std::string media_type = response.header("Content-Type");
  return Hijacked{std::move(response).take_stream(), std::move(media_type)};
}

}  // namespace holdfast::client
