#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"

// Values and functions of templates; used within client/template only.
namespace holdfast::client {

bool template_function_exists(std::string_view name);

// Calls a function other than "and" and "or", which decide how far their arguments are evaluated.
Result<json::Value> call_template_function(std::string_view name,
                                           const std::vector<json::Value>& arguments);

// A value as Go's %v prints it; `name` is the field it was found under, which tells maps from
// structs and what an absent value would have been.
std::string template_text(const json::Value& value, std::string_view name = {});

// Go's truth: false, 0, "", null and whatever is empty are false.
bool template_truth(const json::Value& value);

}  // namespace holdfast::client
