-- Asks for the paths of a file in turn, and prints `result REQUESTS/S BYTES/S ERRORS/S`.
local paths = {}
local next_path = 0

function init(args)
  for line in io.lines(args[1]) do
    paths[#paths + 1] = wrk.format("GET", line)
  end
end

function request()
  next_path = next_path % #paths + 1
  return paths[next_path]
end

function done(summary)
  local seconds = summary.duration / 1e6
  local errors = summary.errors
  local wrong = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  print(string.format("result %f %f %f", summary.requests / seconds, summary.bytes / seconds, wrong / seconds))
end
