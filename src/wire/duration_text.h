#pragma once

#include <chrono>
#include <string>

namespace holdfast::wire {

// A span of time as Docker shows it (go-units HumanDuration): "Less than a second", "5 minutes",
// "About an hour", "3 weeks".
std::string human_duration(std::chrono::nanoseconds duration);

}  // namespace holdfast::wire
