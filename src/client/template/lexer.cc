#include "client/template/lexer.h"

#include <cctype>
#include <charconv>

namespace holdfast::client {
namespace {

using Kind = TemplateToken::Kind;

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

tl::unexpected<Error> invalid(std::string_view what) {
  return fail(Code::kInvalidArgument, ":1: {}", what);
}

// Reads one template; holds its place in the text and the tokens so far.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : rest_(text) {}

  Result<std::vector<TemplateToken>> run() {
    while (!rest_.empty()) {
      auto open = rest_.find("{{");
      add_text(rest_.substr(0, open));
      if (open == std::string_view::npos) break;
      rest_.remove_prefix(open + 2);
      RETURN_IF_ERROR(action());
    }
    add(Kind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  void add(Kind kind, std::string_view text, bool joined = false) {
    tokens_.push_back({kind, std::string(text), nullptr, joined});
  }

  void add_text(std::string_view text) {
    if (trim_next_)
      while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    trim_next_ = false;
    if (!text.empty()) add(Kind::kText, text);
  }

  void trim_last_text() {
    if (tokens_.empty() || tokens_.back().kind != Kind::kText) return;
    std::string& text = tokens_.back().text;
    while (!text.empty() && is_space(text.back())) text.pop_back();
  }

  Status action() {
    if (rest_.size() > 1 && rest_[0] == '-' && is_space(rest_[1])) {
      trim_last_text();
      rest_.remove_prefix(2);
    }
    auto first = rest_.find_first_not_of(" \t\r\n");
    if (first != std::string_view::npos && rest_.substr(first).starts_with("/*")) return comment();
    add(Kind::kOpen, "{{");
    bool after_space = true;
    while (true) {
      if (rest_.empty()) return invalid("unclosed action");
      if (is_space(rest_[0])) {
        if (rest_.substr(1).starts_with("-}}")) {
          rest_.remove_prefix(2);
          trim_next_ = true;
        } else {
          rest_.remove_prefix(1);
          after_space = true;
          continue;
        }
      }
      if (rest_.starts_with("}}")) {
        rest_.remove_prefix(2);
        add(Kind::kClose, "}}");
        return {};
      }
      RETURN_IF_ERROR(token(!after_space));
      after_space = false;
    }
  }

  Status comment() {
    auto end = rest_.find("*/");
    if (end == std::string_view::npos) return invalid("unclosed comment");
    rest_.remove_prefix(end + 2);
    if (rest_.starts_with(" -}}")) {
      trim_next_ = true;
      rest_.remove_prefix(2);
    }
    if (!rest_.starts_with("}}")) return invalid("comment ends before closing delimiter");
    rest_.remove_prefix(2);
    return {};
  }

  Status token(bool joined) {
    char c = rest_[0];
    if (c == '"' || c == '\'') return quoted(c);
    if (c == '`') return raw_string();
    if (c == '|') return single(Kind::kPipe);
    if (c == '(') return single(Kind::kOpenParen);
    if (c == ')') return single(Kind::kCloseParen);
    if (c == ',') return single(Kind::kComma);
    if (c == '=') return single(Kind::kAssign);
    if (rest_.starts_with(":=")) {
      rest_.remove_prefix(2);
      add(Kind::kDeclare, ":=");
      return {};
    }
    bool numeric_follows = rest_.size() > 1 && std::isdigit(static_cast<unsigned char>(rest_[1]));
    if (std::isdigit(static_cast<unsigned char>(c)) ||
        ((c == '-' || c == '+') && numeric_follows) || (c == '.' && numeric_follows))
      return number();
    if (c == '.' || c == '$' || is_word(c)) return name(c, joined);
    return invalid(fmt::format("unexpected {} in command",
                               c == '{' ? "\"{\"" : fmt::format("bad character '{}'", c)));
  }

  Status single(Kind kind) {
    add(kind, rest_.substr(0, 1));
    rest_.remove_prefix(1);
    return {};
  }

  Status name(char first, bool joined) {
    std::size_t end = 1;
    if (first != '.' && first != '$') end = 0;
    while (end < rest_.size() && is_word(rest_[end])) ++end;
    std::string_view text = rest_.substr(0, end);
    rest_.remove_prefix(end);
    if (first == '$')
      add(Kind::kVariable, text);
    else if (first != '.')
      add(Kind::kWord, text);
    else if (text.size() == 1)
      add(Kind::kDot, text);
    else
      add(Kind::kField, text.substr(1), joined);
    return {};
  }

  Status number() {
    std::size_t end = 1;
    while (end < rest_.size() && (is_word(rest_[end]) || rest_[end] == '.')) ++end;
    std::string text(rest_.substr(0, end));
    rest_.remove_prefix(end);
    TemplateToken token{Kind::kLiteral, text, nullptr, false};
    std::int64_t whole = 0;
    const char* begin = text.c_str() + (text[0] == '+' ? 1 : 0);
    auto [stop, error] = std::from_chars(begin, text.c_str() + text.size(), whole);
    if (error == std::errc() && *stop == '\0') {
      token.literal = whole;
    } else {
      char* stopped = nullptr;
      double real = std::strtod(begin, &stopped);
      if (*stopped != '\0') return invalid(fmt::format("bad number syntax: \"{}\"", text));
      token.literal = real;
    }
    tokens_.push_back(std::move(token));
    return {};
  }

  Status raw_string() {
    auto end = rest_.find('`', 1);
    if (end == std::string_view::npos) return invalid("unterminated raw quoted string");
    add_literal(std::string(rest_.substr(1, end - 1)), end + 1);
    return {};
  }

  Status quoted(char quote) {
    std::string value;
    for (std::size_t i = 1; i < rest_.size(); ++i) {
      if (rest_[i] == quote) {
        add_literal(value, i + 1);
        if (quote == '\'' && value.size() == 1)
          tokens_.back().literal = std::int64_t{static_cast<unsigned char>(value[0])};
        return {};
      }
      if (rest_[i] != '\\' || i + 1 == rest_.size()) {
        value += rest_[i];
        continue;
      }
      ++i;
      constexpr std::string_view kEscapes = "ntrab0fv";
      constexpr std::string_view kMeant{"\n\t\r\a\b\0\f\v", 8};
      auto at = kEscapes.find(rest_[i]);
      value += at == std::string_view::npos ? rest_[i] : kMeant[at];
    }
    return invalid(quote == '"' ? "unterminated quoted string" : "unterminated character constant");
  }

  void add_literal(const std::string& value, std::size_t length) {
    TemplateToken token{Kind::kLiteral, std::string(rest_.substr(0, length)), nullptr, false};
    token.literal = value;
    tokens_.push_back(std::move(token));
    rest_.remove_prefix(length);
  }

  std::string_view rest_;
  std::vector<TemplateToken> tokens_;
  bool trim_next_ = false;
};

}  // namespace

Result<std::vector<TemplateToken>> lex_template(std::string_view text) { return Lexer(text).run(); }

}  // namespace holdfast::client
