#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace holdfast::client {

// Lays out lines of tab-separated cells in columns, as Docker's clients do (Go's tabwriter with a
// minimum width of 10 and a padding of 3): the last cell of a line takes no part in it.
std::string align_columns(std::string_view tabbed_lines, std::size_t minimum_width = 10,
                          std::size_t padding = 3);

// Terminal columns of UTF-8 text, counting each code point as one.
std::size_t display_width(std::string_view text);

// At most `width` code points, the last of them "…" when something was cut.
std::string ellipsis(std::string_view text, std::size_t width);

}  // namespace holdfast::client
