#include "engine/volume_json.h"

namespace holdfast {
namespace {

using StringMap = std::map<std::string, std::string>;

// Docker shows whole seconds.
std::string created_text(const Volume& volume) {
  return to_rfc3339(Time(std::chrono::floor<std::chrono::seconds>(volume.created)));
}

json::Value map_or_null(const StringMap& map) {
  return map.empty() ? json::Value() : json::Value(json::from_string_map(map));
}

void append_map(std::string& out, const StringMap& map) {
  if (map.empty()) {
    out += "null";
    return;
  }
  char before = '{';
  for (const auto& [key, value] : map) {
    out += before;
    json::append_quoted(out, key);
    out += ':';
    json::append_quoted(out, value);
    before = ',';
  }
  out += '}';
}

}  // namespace

json::Object volume_json(const Volume& volume, const std::string& scope) {
  return json::Object{{"CreatedAt", created_text(volume)},
                      {"Driver", volume.driver},
                      {"Labels", map_or_null(volume.labels)},
                      {"Mountpoint", volume.mountpoint},
                      {"Name", volume.name.str()},
                      {"Options", map_or_null(volume.options)},
                      {"Scope", scope}};
}

void append_volume_json(std::string& out, const Volume& volume, const std::string& scope) {
  out += "{\"CreatedAt\":\"";
  out += created_text(volume);
  out += "\",\"Driver\":";
  json::append_quoted(out, volume.driver);
  out += ",\"Labels\":";
  append_map(out, volume.labels);
  out += ",\"Mountpoint\":";
  json::append_quoted(out, volume.mountpoint);
  out += ",\"Name\":";
  json::append_quoted(out, volume.name.str());
  out += ",\"Options\":";
  append_map(out, volume.options);
  out += ",\"Scope\":";
  json::append_quoted(out, scope);
  out += '}';
}

}  // namespace holdfast
