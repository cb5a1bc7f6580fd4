#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "client/template/template.h"

namespace holdfast::client {

// How a list command prints without --format, and what stands above each column.
struct ListFormat {
  std::string table;  // template of the default table, cells separated by tabs
  std::string quiet;  // template for -q
  std::vector<std::pair<std::string, std::string>> headings;  // field -> heading
};

// Renders rows by --format: "" or "table" (the default table), "table TEMPLATE", "json", or a
// template. In templates "\t" and "\n" may be written as two characters.
Result<std::string> render_list(std::string_view format, bool quiet, const ListFormat& list,
                                std::vector<TemplateData> rows);

// Renders one object (version, info, inspect): "json" or a template, ended by a newline.
Result<std::string> render_object(std::string_view format, const json::Value& object);

// Four-space indented JSON with Go's layout, as inspect prints it.
std::string pretty_json(const json::Value& value, std::string_view indent = "    ");

}  // namespace holdfast::client
