#include "client/template/template.h"

#include <gtest/gtest.h>

namespace holdfast::client {
namespace {

constexpr std::string_view kContainer = R"({
  "Id": "abc123", "Name": "/web", "Size": 42, "Ratio": 0.5,
  "State": {"Status": "running", "Running": true, "ExitCode": 0},
  "Config": {"Env": ["A=1", "B=2"], "Labels": {"com.x": "y", "a": "b"}, "Cmd": null},
  "Mounts": [{"Type": "bind", "Source": "/h", "Destination": "/d", "Mode": "", "RW": true,
              "Propagation": "rprivate"}],
  "NetworkSettings": {"Networks": {"two": {"IPAddress": "2"}, "one": {"IPAddress": "1"}}}})";

std::string render(std::string_view text) {
  auto parsed = Template::parse(text);
  if (!parsed) return "parse: " + parsed.error().message;
  TemplateData data;
  data.root = json::parse(kContainer).value();
  data.methods["Label"] = [](const std::vector<json::Value>& arguments) -> Result<json::Value> {
    return json::Value("label " + std::string(arguments.at(0).get_string()));
  };
  auto result = parsed->execute(data);
  return result ? *result : "execute: " + result.error().message;
}

TEST(Template, PrintsFields) {
  EXPECT_EQ(render("{{.Id}}"), "abc123");
  EXPECT_EQ(render("<{{ .State.Status }}|{{.State.Running}}|{{.Size}}|{{.Ratio}}>"),
            "<running|true|42|0.5>");
  EXPECT_EQ(render("{{(index .Mounts 0).Source}}"), "/h");
  EXPECT_EQ(render("{{$.Name}}"), "/web");
}

TEST(Template, PrintsCompositesAsGoDoes) {
  EXPECT_EQ(render("{{.Config.Env}}"), "[A=1 B=2]");
  EXPECT_EQ(render("{{.Config.Labels}}"), "map[a:b com.x:y]");
  EXPECT_EQ(render("{{.Config.Cmd}}"), "[]");
  EXPECT_EQ(render("{{.State}}"), "{running true 0}");
  EXPECT_EQ(render("{{.Mounts}}"), "[{bind  /h /d   true rprivate}]");
  EXPECT_EQ(render("{{json .State}}"), R"({"Status":"running","Running":true,"ExitCode":0})");
}

TEST(Template, RunsTheControlStructures) {
  EXPECT_EQ(render("{{range .Config.Env}}{{.}};{{end}}"), "A=1;B=2;");
  EXPECT_EQ(render("{{range $i, $e := .Config.Env}}{{if $i}}, {{end}}{{$i}}={{$e}}{{end}}"),
            "0=A=1, 1=B=2");
  EXPECT_EQ(render("{{range $k, $v := .NetworkSettings.Networks}}{{$k}}:{{$v.IPAddress}} {{end}}"),
            "one:1 two:2 ");
  EXPECT_EQ(render("{{range .Config.Cmd}}x{{else}}none{{end}}"), "none");
  EXPECT_EQ(render("{{if .State.ExitCode}}bad{{else if .State.Running}}up{{else}}down{{end}}"),
            "up");
  EXPECT_EQ(render("{{with .State}}{{.Status}}{{end}}"), "running");
  EXPECT_EQ(render("{{with .State.Health}}{{.Status}}{{else}}no check{{end}}"), "no check");
  EXPECT_EQ(render("{{range .Config.Env}}{{.}}{{break}}{{end}}"), "A=1");
  EXPECT_EQ(render("{{$x := .Id}}{{$x}}{{$x = \"z\"}}{{$x}}"), "abc123z");
  EXPECT_EQ(render("a {{- /* gone */ -}} b"), "ab");
  EXPECT_EQ(render("a {{- .Id -}} b"), "aabc123b");
}

TEST(Template, HasGosAndDockersFunctions) {
  EXPECT_EQ(render("{{.Id | upper}}{{lower \"ABC\"}}{{title \"abc def\"}}"), "ABC123abcAbc Def");
  EXPECT_EQ(render("{{join .Config.Env \", \"}}"), "A=1, B=2");
  EXPECT_EQ(render("{{index (split \"a:b:c\" \":\") 1}}"), "b");
  EXPECT_EQ(render("{{index .Config.Labels \"com.x\"}}{{index .Config.Labels \"no\"}}"), "y");
  EXPECT_EQ(render("{{len .Config.Env}}{{len .Id}}"), "26");
  EXPECT_EQ(render("{{printf \"%-6s|%05d|%.2f|%q|%%\" .State.Status .Size .Ratio .Id}}"),
            "running|00042|0.50|\"abc123\"|%");
  EXPECT_EQ(render("{{println .Id 1}}{{print 1 2 \"a\" \"b\"}}"), "abc123 1\n1 2ab");
  EXPECT_EQ(render("{{if and (eq .State.Status \"running\") (gt .Size 41)}}y{{end}}"), "y");
  EXPECT_EQ(render("{{if or (ne .Size 42) (not .State.Running)}}y{{else}}n{{end}}"), "n");
  EXPECT_EQ(render("{{slice .Id 0 3}}{{truncate .Id 2}}{{pad \"x\" 1 2}}|"), "abcab x  |");
  EXPECT_EQ(render("{{.Label \"com.x\"}}"), "label com.x");
  EXPECT_EQ(render("{{eq .Id \"x\" \"abc123\"}}"), "true");
  EXPECT_EQ(render("{{`raw\\n`}}"), "raw\\n");
}

TEST(Template, SaysWhatIsWrong) {
  EXPECT_EQ(render("{{.Nope}}"),
            "execute: :1:2: executing \"\" at <.Nope>: map has no entry for key \"Nope\"");
  EXPECT_EQ(render("{{nope .Id}}"), "parse: :1: function \"nope\" not defined");
  EXPECT_EQ(render("{{.Id"), "parse: :1: unclosed action");
  EXPECT_EQ(render("{{if .Id}}x"), "parse: :1: unexpected EOF");
  EXPECT_EQ(render("{{end}}"), "parse: :1: unexpected {{end}}");
  EXPECT_EQ(render("{{index .Config.Env 9}}"),
            "execute: :1: executing \"\" at <index>: error calling index: reflect: slice index out "
            "of range");
  EXPECT_EQ(render("{{.Id.Nope}}").substr(0, 8), "execute:");
  std::string deep(500, '(');
  EXPECT_EQ(render("{{" + deep + "1}}"), "parse: :1: template nested too deep");
}

}  // namespace
}  // namespace holdfast::client
