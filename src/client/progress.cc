#include "client/progress.h"

#include <algorithm>

#include "base/size_text.h"

namespace holdfast::client {

Status ProgressDisplay::show(const json::Object& message) {
  if (const auto* detail = json::find(message, "errorDetail"); detail && detail->is_object())
    return fail(
        Code::kInternal, "{}",
        json::string_or(detail->get_object(), "message", json::string_or(message, "error")));
  if (auto error = json::string_or(message, "error"); !error.empty())
    return fail(Code::kInternal, "{}", error);

  std::string id = json::string_or(message, "id");
  std::string stream = json::string_or(message, "stream");
  std::string status = json::string_or(message, "status");
  if (stream.empty() && status.empty()) return {};
  const json::Value* detail = json::find(message, "progressDetail");
  bool has_progress = detail && detail->is_object();
  std::string text = has_progress ? bar(detail->get_object()) : "";
  if (columns_ == 0) {
    if (!text.empty()) return {};
    write_(stream.empty() ? fmt::format("{}{}\n", id.empty() ? "" : id + ": ", status) : stream);
    return {};
  }
  if (!stream.empty() || id.empty() || !has_progress) {
    // Whatever isn't progress ends the block of bars above it.
    lines_.clear();
    write_(stream.empty() ? fmt::format("{}{}\n", id.empty() ? "" : id + ": ", status) : stream);
    return {};
  }
  auto [line, is_new] = lines_.emplace(id, lines_.size());
  std::size_t up = lines_.size() - line->second;
  std::string out = is_new ? "\n" : "";
  out += fmt::format("\x1b[{}A\x1b[2K\r{}: {} {}\r\x1b[{}B", up, id, status, text, up);
  write_(out);
  return {};
}

std::string ProgressDisplay::bar(const json::Object& detail) const {
  auto current = static_cast<double>(json::int_or(detail, "current"));
  auto total = static_cast<double>(json::int_or(detail, "total"));
  if (current <= 0 && total <= 0) return "";
  if (total <= 0) return fmt::format("{:>8}", human_size(current));
  int filled = std::clamp(static_cast<int>(current / total * 100) / 2, 0, 50);
  std::string box;
  if (columns_ > 110)
    box = fmt::format("[{}>{}] ", std::string(static_cast<std::size_t>(filled), '='),
                      std::string(static_cast<std::size_t>(50 - filled), ' '));
  if (current > total) return box + fmt::format("{:>8}", human_size(current));
  return box + fmt::format("{:>8}/{}", human_size(current), human_size(total));
}

namespace {

// Where the first JSON document of `text` ends, or npos: objects only, so braces outside of
// strings decide.
std::size_t document_end(std::string_view text) {
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (quoted && c == '\\') {
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && c == '{') {
      ++depth;
    } else if (!quoted && c == '}' && --depth == 0) {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

}  // namespace

Status for_each_json(Response& response, const std::function<Status(const json::Object&)>& handle) {
  std::string pending;
  std::string buffer(64 << 10, '\0');
  while (true) {
    ASSIGN_OR_RETURN(auto got, response.read(buffer.data(), buffer.size()));
    if (got == 0) break;
    pending.append(buffer, 0, got);
    for (auto end = document_end(pending); end != std::string::npos; end = document_end(pending)) {
      ASSIGN_OR_RETURN(auto object, json::parse_object(std::string_view(pending).substr(0, end)));
      pending.erase(0, end);
      RETURN_IF_ERROR(handle(object));
    }
  }
  if (pending.find_first_not_of(" \r\n\t") != std::string::npos)
    return fail(Code::kUnavailable, "unexpected EOF");
  return {};
}

}  // namespace holdfast::client
