#include "http/reply_head.h"

#include <ctime>

#include "http/request.h"

namespace holdfast::http {
namespace {

void append_field(std::string& head, std::string_view name, std::string_view value) {
  head.append(name).append(": ");
  for (char c : value) head += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  head += "\r\n";
}

std::string http_date() {
  std::time_t now = std::time(nullptr);
  std::tm parts = {};
  ::gmtime_r(&now, &parts);
  char text[40];
  // The process keeps the C locale, as the names of days and months must be English.
  std::size_t size = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text, size};
}

}  // namespace

std::string_view reason_phrase(int status) {
  static constexpr std::pair<int, std::string_view> kPhrases[] = {
      {101, "UPGRADED"},
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {206, "Partial Content"},
      {304, "Not Modified"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {412, "Precondition Failed"},
      {413, "Request Entity Too Large"},
      {416, "Requested Range Not Satisfiable"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {503, "Service Unavailable"},
  };
  for (const auto& [code, phrase] : kPhrases)
    if (code == status) return phrase;
  return "Unknown";
}

std::string format_reply_head(int status, std::string_view reason, std::string_view server,
                              const HeaderList& headers) {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\n", status, reason);
  append_field(head, "Api-Version", to_string(kMaxApiVersion));
  for (const auto& [name, value] : headers) append_field(head, name, value);
  append_field(head, "Docker-Experimental", "false");
  append_field(head, "Ostype", "linux");
  append_field(head, "Server", server);
  append_field(head, "Date", http_date());
  head += "\r\n";
  return head;
}

}  // namespace holdfast::http
