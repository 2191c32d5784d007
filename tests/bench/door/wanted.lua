-- wrk's script: each request has the next path of a file and the next of a few readers' headers; at the end one line of JSON.
--   wrk -s wanted.lua URL -- FILE_OF_PATHS METHOD HOST FIRST

local readers = {
  "User-Agent: Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)\r\n"
    .. "Accept-Encoding: gzip, deflate, br\r\n",
  "Accept: image/webp,image/avif,image/jxl,image/heic,image/heic-sequence,video/*;q=0.8,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5\r\n"
    .. "User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148\r\n"
    .. "Accept-Language: en-GB,en;q=0.9\r\nAccept-Encoding: gzip, deflate, br\r\n",
  "Accept: image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8\r\n"
    .. "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36\r\n"
    .. "sec-ch-ua: \"Google Chrome\";v=\"131\", \"Chromium\";v=\"131\", \"Not_A Brand\";v=\"24\"\r\nsec-ch-ua-mobile: ?0\r\n"
    .. "sec-ch-ua-platform: \"Windows\"\r\nSec-Fetch-Dest: image\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Site: cross-site\r\n"
    .. "Referer: https://mail.example.net/\r\nAccept-Language: de-DE,de;q=0.9,en;q=0.8\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n",
  "Accept: */*\r\nUser-Agent: Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; WOW64; Trident/7.0; .NET4.0C; .NET4.0E; ms-office; MSOffice 16)\r\n"
    .. "UA-CPU: AMD64\r\nAccept-Encoding: gzip, deflate\r\n",
}

local body = "List-Unsubscribe=One-Click"
local form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body

local wanted, turn = {}, 0

function init(args)
  local method, host = args[2], "Host: " .. args[3] .. "\r\n"
  for path in io.lines(args[1]) do
    local head = method .. " " .. path .. " HTTP/1.1\r\n" .. host .. readers[#wanted % #readers + 1]
    wanted[#wanted + 1] = head .. (method == "POST" and form or "\r\n")
  end
  turn = tonumber(args[4]) - 1
end

function request()
  turn = turn % #wanted + 1
  return wanted[turn]
end

function done(summary, latency)
  local errors = summary.errors
  io.stderr:write(string.format(
    '{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout
  ))
end
