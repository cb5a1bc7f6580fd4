#include "client/text_table.h"

#include <algorithm>

namespace holdfast::client {
namespace {

using Line = std::vector<std::string_view>;

Line split(std::string_view text, char separator) {
  Line parts;
  while (true) {
    auto at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

// tabwriter's rule: a column is a run of consecutive lines that have a cell there which a tab ends.
void measure(const std::vector<Line>& lines, std::size_t column, std::size_t first,
             std::size_t minimum, std::size_t padding, std::vector<std::size_t>& widths) {
  std::size_t width = minimum;
  for (std::size_t i = first; i < lines.size() && column + 1 < lines[i].size(); ++i)
    width = std::max(width, display_width(lines[i][column]) + padding);
  for (std::size_t i = first; i < lines.size() && column + 1 < lines[i].size(); ++i)
    widths[i] = width;
}

}  // namespace

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string ellipsis(std::string_view text, std::size_t width) {
  if (width == 0) return {};
  if (display_width(text) <= width) return std::string(text);
  std::size_t end = 0;
  for (std::size_t seen = 0; end < text.size(); ++end) {
    bool starts = (static_cast<unsigned char>(text[end]) & 0xC0) != 0x80;
    if (starts && seen++ == width - 1) break;
  }
  return std::string(text.substr(0, end)) + "…";
}

std::string align_columns(std::string_view tabbed_lines, std::size_t minimum_width,
                          std::size_t padding) {
  bool ends_with_newline = tabbed_lines.ends_with('\n');
  if (ends_with_newline) tabbed_lines.remove_suffix(1);
  std::vector<Line> lines;
  std::size_t columns = 0;
  for (auto line : split(tabbed_lines, '\n')) {
    lines.push_back(split(line, '\t'));
    columns = std::max(columns, lines.back().size());
  }
  std::vector<std::string> out(lines.size());
  for (std::size_t column = 0; column < columns; ++column) {
    std::vector<std::size_t> widths(lines.size(), 0);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (column >= lines[i].size()) continue;
      bool last = column + 1 == lines[i].size();
      if (!last && widths[i] == 0) measure(lines, column, i, minimum_width, padding, widths);
      out[i] += lines[i][column];
      if (!last) out[i].append(widths[i] - display_width(lines[i][column]), ' ');
    }
  }
  std::string text;
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (i > 0) text += '\n';
    text += out[i];
  }
  if (ends_with_newline) text += '\n';
  return text;
}

}  // namespace holdfast::client
