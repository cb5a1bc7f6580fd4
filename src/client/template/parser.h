#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "client/template/node.h"

namespace holdfast::client {

Result<std::vector<std::unique_ptr<TemplateNode>>> parse_template(std::string_view text);

}  // namespace holdfast::client
