#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace holdfast::client {

// A piece of a template: text outside of actions, or a word within one.
struct TemplateToken {
  enum class Kind {
    kText,
    kOpen,      // {{
    kClose,     // }}
    kWord,      // identifier or keyword
    kField,     // .Name; `joined` when it follows its operand without a space
    kDot,       // . alone
    kVariable,  // $name
    kLiteral,
    kPipe,
    kOpenParen,
    kCloseParen,
    kDeclare,  // :=
    kAssign,   // =
    kComma,
    kEnd,
  };
  Kind kind = Kind::kEnd;
  std::string text;
  json::Value literal;
  bool joined = false;
};

Result<std::vector<TemplateToken>> lex_template(std::string_view text);

}  // namespace holdfast::client
