#include "client/run/secret_spec.h"

#include <charconv>
#include <limits>
#include <optional>

#include "client/flags.h"

namespace holdfast::client {
namespace {

std::optional<std::uint32_t> parse_number(std::string_view text, int base) {
  std::uint32_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Status apply_id(const char* field, std::string_view key, std::string_view value,
                json::Object& secret) {
  auto number = parse_number(value, 10);
  if (!number || *number == std::numeric_limits<std::uint32_t>::max())
    return fail(Code::kInvalidArgument, "invalid {} \"{}\": give a number from 0 to 4294967294",
                key, value);
  secret[field] = value;
  return {};
}

Status apply_mode(std::string_view value, json::Object& secret) {
  auto mode = parse_number(value, 8);
  if (!mode || *mode > 0777) {
    return fail(Code::kInvalidArgument,
                "invalid mode specified: \"{}\": give octal digits up to 0777, such as 0400",
                value);
  }
  secret["Mode"] = *mode;
  return {};
}

Status check_type(std::string_view value) {
  if (value == "mount") return {};
  if (value == "env") {
    return fail(
        Code::kInvalidArgument,
        "secret type \"env\" is not supported: a container's environment is in its record on "
        "the disk and shown by inspect; let the program read the file in /run/secrets");
  }
  return fail(Code::kInvalidArgument, "invalid secret type \"{}\": must be \"mount\"", value);
}

Status apply(std::string_view key, std::string_view value, json::Object& secret) {
  if (key == "type") return check_type(value);
  struct Known {
    std::string_view key;
    const char* field;
  };
  for (auto [known, field] :
       {Known{"source", "Source"}, Known{"src", "Source"}, Known{"target", "Target"},
        Known{"uid", "UID"}, Known{"gid", "GID"}, Known{"mode", "Mode"}}) {
    if (key != known) continue;
    if (value.empty())
      return fail(Code::kInvalidArgument, "invalid value for '{}': value is empty", key);
    if (secret.contains(field))
      return fail(Code::kInvalidArgument, "'{}' is given more than once in a secret request", key);
    if (key == "mode") return apply_mode(value, secret);
    if (key == "uid" || key == "gid") return apply_id(field, key, value, secret);
    secret[field] = value;
    return {};
  }
  return fail(Code::kInvalidArgument, "invalid field in secret request: {}", key);
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return result;
}

}  // namespace

Result<json::Object> parse_secret_spec(std::string_view text) {
  if (text.empty()) return fail(Code::kInvalidArgument, "source is required");
  ASSIGN_OR_RETURN(auto fields, split_csv(text));
  json::Object secret;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    std::string_view field = fields[i];
    auto equals = field.find('=');
    if (equals == std::string_view::npos && i == 0) {
      secret["Source"] = field;
    } else if (equals == std::string_view::npos) {
      return fail(Code::kInvalidArgument, "invalid field '{}' must be a key=value pair", field);
    } else {
      RETURN_IF_ERROR(apply(lower(field.substr(0, equals)), field.substr(equals + 1), secret));
    }
  }
  if (json::string_or(secret, "Source").empty())
    return fail(Code::kInvalidArgument, "source is required");
  return secret;
}

}  // namespace holdfast::client
