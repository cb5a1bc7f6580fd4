#include "base/base64.h"
#include "base/secret_bytes.h"
#include "http/json_body.h"
#include "http/routes/route_support.h"
#include "http/routes/routes.h"

namespace holdfast::http {
namespace {

// Takes the content out of the request, into memory that is wiped as the request's own is.
Result<SecretBytes> take_data(json::Object& spec) {
  const auto* data = json::find(spec, "Data");
  if (!data) return SecretBytes();
  if (!data->is_string())
    return fail(Code::kInvalidArgument, "json: cannot unmarshal Data: it is no string");
  std::string_view text(data->get_string());
  SecretBytes bytes((text.size() + 3) / 4 * 3);
  ASSIGN_OR_RETURN(auto size, base64_decode_to(bytes.data(), text));
  bytes.shrink(size);
  return bytes;
}

Result<Reply> create_secret(Engine& engine, const Request& request) {
  ASSIGN_OR_RETURN(auto spec, confidential_json_body(request));
  ASSIGN_OR_RETURN(auto data, take_data(spec));
  ASSIGN_OR_RETURN(auto created, engine.create_secret(spec, data));
  return Reply::json(created, 201);
}

Result<Reply> update_secret(Engine& engine, const Request& request) {
  auto version = request.query.number("version", -1);
  if (!version || *version < 0) return fail(Code::kInvalidArgument, "invalid secret version");
  ASSIGN_OR_RETURN(auto spec, confidential_json_body(request));
  RETURN_IF_ERROR(
      engine.update_secret(request.param("id"), static_cast<std::uint64_t>(*version), spec));
  return Reply::empty(200);
}

}  // namespace

void add_secret_routes(Router& router, Engine& engine) {
  router.add_simple("GET", "/secrets", [&engine](const Request& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(auto filters, filters_of(request));
    ASSIGN_OR_RETURN(auto secrets, engine.list_secrets(filters));
    return Reply::json(secrets);
  });
  router.add_simple("POST", "/secrets/create",
                    [&engine](const Request& request) { return create_secret(engine, request); },
                    {.confidential = true});
  router.add_simple("GET", "/secrets/{id}", [&engine](const Request& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(auto secret, engine.inspect_secret(request.param("id")));
    return Reply::json(secret);
  });
  router.add_simple("POST", "/secrets/{id}/update",
                    [&engine](const Request& request) { return update_secret(engine, request); },
                    {.confidential = true});
  router.add_simple("DELETE", "/secrets/{id}", [&engine](const Request& request) -> Result<Reply> {
    RETURN_IF_ERROR(engine.remove_secret(request.param("id")));
    return Reply::empty(204);
  });
}

}  // namespace holdfast::http
