#include "client/list_format.h"

#include <algorithm>
#include <map>

#include "client/text_table.h"

namespace holdfast::client {
namespace {

std::string unescape(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    bool escape =
        text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == 't' || text[i + 1] == 'n');
    if (!escape) {
      result += text[i];
      continue;
    }
    result += text[++i] == 't' ? '\t' : '\n';
  }
  return result;
}

std::string_view trim_spaces(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

Error template_error(Error error) {
  return std::move(error).wrap("template parsing error: template");
}

// What Docker writes above {{.Label "com.example.some-name"}}: SOME NAME, in its own case.
Result<json::Value> label_heading(const std::vector<json::Value>& arguments) {
  if (arguments.size() != 1 || !arguments[0].is_string()) return json::Value("");
  std::string name(arguments[0].get_string());
  if (auto dot = name.rfind('.'); dot != std::string::npos) name = name.substr(dot + 1);
  std::replace(name.begin(), name.end(), '-', ' ');
  std::replace(name.begin(), name.end(), '_', ' ');
  return json::Value(name);
}

TemplateData headings_row(const ListFormat& list) {
  TemplateData row;
  json::Object object;
  for (const auto& [field, heading] : list.headings) object[field] = heading;
  row.root = std::move(object);
  row.methods["Label"] = label_heading;
  row.headings = true;
  return row;
}

// Docker's rows are Go maps, whose keys JSON gets in order.
void sort_keys(TemplateData& row) {
  if (!row.root.is_object()) return;
  std::map<std::string, json::Value> sorted;
  for (const auto& [key, value] : row.root.get_object()) sorted[key] = value;
  json::Object object;
  for (auto& [key, value] : sorted) object[key] = std::move(value);
  row.root = std::move(object);
}

void append_indented(std::string& out, const json::Value& value, std::string_view indent,
                     std::size_t depth) {
  auto new_line = [&](std::size_t level) {
    out += '\n';
    for (std::size_t i = 0; i < level; ++i) out += indent;
  };
  if (value.is_object() && !value.get_object().empty()) {
    out += '{';
    bool first = true;
    for (const auto& [key, member] : value.get_object()) {
      if (!first) out += ',';
      first = false;
      new_line(depth + 1);
      out += json::serialize(json::Value(key)) + ": ";
      append_indented(out, member, indent, depth + 1);
    }
    new_line(depth);
    out += '}';
  } else if (value.is_array() && !value.get_array().empty()) {
    out += '[';
    bool first = true;
    for (const auto& item : value.get_array()) {
      if (!first) out += ',';
      first = false;
      new_line(depth + 1);
      append_indented(out, item, indent, depth + 1);
    }
    new_line(depth);
    out += ']';
  } else {
    out += json::serialize(value);
  }
}

}  // namespace

Result<std::string> render_list(std::string_view format, bool quiet, const ListFormat& list,
                                std::vector<TemplateData> rows) {
  bool is_table = format.empty() || format == "table" || format.starts_with("table ") ||
                  format.starts_with("table\\t");
  std::string text;
  if ((format.empty() || format == "table") && quiet) {
    text = list.quiet;
    is_table = false;
  } else if (format.empty() || format == "table") {
    text = list.table;
  } else if (format == "json") {
    text = "{{json .}}";
  } else {
    text = unescape(trim_spaces(is_table ? format.substr(5) : format));
  }
  ASSIGN_OR_RETURN(auto parsed, Template::parse(text).map_error(template_error));
  std::string out;
  if (is_table) {
    ASSIGN_OR_RETURN(out, parsed.execute(headings_row(list)).map_error(template_error));
    out += '\n';
  }
  for (auto& row : rows) {
    sort_keys(row);
    ASSIGN_OR_RETURN(auto line, parsed.execute(row).map_error([](Error error) {
      return std::move(error).wrap("failed to execute template: template");
    }));
    out += line + '\n';
  }
  return is_table ? align_columns(out) : out;
}

Result<std::string> render_object(std::string_view format, const json::Value& object) {
  std::string text = format == "json" ? "{{json .}}" : std::string(format);
  ASSIGN_OR_RETURN(auto parsed, Template::parse(text).map_error(template_error));
  TemplateData data;
  data.root = object;
  ASSIGN_OR_RETURN(auto line, parsed.execute(data).map_error(template_error));
  return line + '\n';
}

std::string pretty_json(const json::Value& value, std::string_view indent) {
  std::string out;
  append_indented(out, value, indent, 0);
  return out;
}

}  // namespace holdfast::client
