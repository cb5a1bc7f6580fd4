#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"

// The smaller option values of run and create. All fail with kInvalidArgument in Docker's words.
namespace holdfast::client {

// "1.5" or "1/2" CPUs, in billionths.
Result<std::int64_t> parse_cpus(std::string_view text);
// "nofile=1024:2048" as {Name, Soft, Hard}.
Result<json::Object> parse_ulimit(std::string_view text);
// "/dev/a[:/dev/b][:rwm]" as {PathOnHost, PathInContainer, CgroupPermissions}.
Result<json::Object> parse_device(std::string_view text);
// "no", "always", "unless-stopped", "on-failure[:n]" as {Name, MaximumRetryCount}.
Result<json::Object> parse_restart_policy(std::string_view text);
// "name:ip" or "name=ip", returned as "name:ip"; ip may be host-gateway.
Result<std::string> parse_extra_host(std::string_view text);
Status check_ip_address(std::string_view text);
Status check_label(std::string_view text);
Status check_environment(std::string_view text);
// "path:value" with a number or, when `size`, a size such as 1mb.
Result<json::Object> parse_device_rate(std::string_view text, bool size);

// -e NAME takes the value from our environment, if it has one; else the bare name is sent, which
// removes it from the image's.
std::string resolve_environment(const std::string& text);
// Lines of an --env-file or --label-file: comments and empty lines skipped; for environment files a
// bare NAME takes our value or is left out.
Result<std::vector<std::string>> read_pairs_file(const std::string& path, bool is_environment);

// "a=b", "c" to {"a": "b", "c": ""}; a later key wins.
json::Object pairs_to_object(const std::vector<std::string>& pairs);

// Docker's spelling of capabilities: upper case, with CAP_; duplicates gone; in order.
std::vector<std::string> normal_capabilities(const std::vector<std::string>& names);

}  // namespace holdfast::client
