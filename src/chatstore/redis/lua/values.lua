-- What every script needs: its arguments one by one, numbers as text, order, and times.
--
-- Versions and times travel as decimal text: a Lua number is a double, and a RESP integer loses its fraction.

local argument = 0

local function take()
  argument = argument + 1
  return ARGV[argument]
end

local function take_list()
  local list = {}
  for i = 1, tonumber(take()) do
    list[i] = take()
  end
  return list
end

local function text(number)
  return string.format('%.0f', number)
end

-- Calls a command with many arguments in pieces, as Lua's stack holds about 8,000. A piece is even, so pairs stay whole.
local function call_in_pieces(command, key, arguments)
  local last
  for i = 1, #arguments, 1000 do
    last = redis.call(command, key, unpack(arguments, i, math.min(i + 999, #arguments)))
  end
  return last
end

-- Lua's own `<` on strings asks the server's locale; Redis sorts members by bytes, and so do we.
local function bytes_before(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then
      return x < y
    end
  end
  return #a < #b
end

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- Versions of the old side are even; `models/versions.py` is the definition. The cap keeps the arithmetic exact when
-- a record claims to be from the year 9999.
local VERSION_CAP = 2 ^ 52

local function even(version)
  return version + version % 2
end

local function next_version(last)
  return even(math.max(last + 1, clock()))
end

-- The version of a record that another program wrote at `updated`.
local function foreign_version(updated)
  local version = math.min(tonumber(updated), VERSION_CAP)
  return math.max(version - version % 2, 2)
end

local function later(a, b)
  if a == '' or (b ~= '' and tonumber(b) > tonumber(a)) then
    return b
  end
  return a
end

-- Returns a time in microseconds with its last digits zero, rounded down. Beyond 2^53 only its text is exact.
local function coarse(micros, digits)
  if #micros > 15 and micros:sub(1, 1) ~= '-' then
    return micros:sub(1, #micros - digits) .. string.rep('0', digits)
  end
  local unit = 10 ^ digits
  return text(math.floor(tonumber(micros) / unit) * unit)
end

local function millis_of(micros)
  local millis = coarse(micros, 3):match('^(.+)000$')
  return millis or '0'
end

-- Takes the microseconds that we keep where they say the same as what the layout holds, less the digits that the
-- layout has no room for; otherwise another program wrote there since, and the layout is right.
local function precise(kept, held, lost_digits)
  if kept ~= '' and coarse(kept, lost_digits) == held then
    return kept
  end
  return held
end

local DAYS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

-- Days from 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
local function days_from_civil(year, month, day)
  if month <= 2 then
    year = year - 1
  end
  local era = math.floor(year / 400)
  local year_of_era = year - era * 400
  local day_of_year = math.floor((153 * (month + (month > 2 and -3 or 9)) + 2) / 5) + day - 1
  local day_of_era = year_of_era * 365 + math.floor(year_of_era / 4) - math.floor(year_of_era / 100) + day_of_year
  return era * 146097 + day_of_era - 719468
end

local function micros_of_iso(value)
  local year, month, day, hour, minute, second, rest =
    value:match('^(%d%d%d%d)-(%d%d)-(%d%d)[T ](%d%d):(%d%d):(%d%d)(.*)$')
  if not year then
    return nil
  end
  local fraction, zone = rest:match('^%.(%d+)(.*)$')
  fraction, zone = fraction or '', zone or rest
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second)
  local leap = month == 2 and (year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)) and 1 or 0
  if month < 1 or month > 12 or day < 1 or day > DAYS[month] + leap or hour > 23 or minute > 59 or second > 59 then
    return nil
  end
  local offset = 0
  if zone ~= '' and zone ~= 'Z' then
    local sign, hours, minutes = zone:match('^([+-])(%d%d):?(%d%d)$')
    if not sign then
      return nil
    end
    offset = (hours * 60 + minutes) * (sign == '+' and 1 or -1)
  end
  local seconds = days_from_civil(year, month, day) * 86400 + hour * 3600 + (minute - offset) * 60 + second
  -- Seconds and microseconds are joined as text: their sum would not be exact in the year 9999.
  return seconds >= 0 and text(seconds) .. (fraction .. '000000'):sub(1, 6) or nil
end

-- Returns a time as text in microseconds, or nil when it says no time that could not be another. Layouts promise
-- milliseconds; programs also wrote seconds and microseconds, which a program of this age cannot have meant otherwise.
local function micros_of_millis(value)
  -- As nearly all are.
  if #value == 13 and value:find('^[1-9]%d*$') then
    return value .. '000'
  end
  local before_1970 = value:match('^-[1-9]%d*$')
  if before_1970 then
    return before_1970 .. '000'
  end
  local whole, fraction = value:match('^(%d+)%.?(%d*)$')
  if not whole then
    return micros_of_iso(value)
  end
  local number = tonumber(whole)
  whole = text(number)
  if number < 1.2e9 or (number >= 1e11 and number < 253402300800000) then
    local digits = (whole .. (fraction .. '000'):sub(1, 3)):match('^0*(.*)$')
    return digits ~= '' and digits or '0'
  elseif number < 1e10 then
    return whole .. (fraction .. '000000'):sub(1, 6)
  elseif number >= 1.2e15 and number < 1e16 then
    return whole
  end
  return nil
end

-- Where another program's record is not what the layout promises: `raw` is what was found, `owner` whose it is.
local function problem(key, reason, raw, owner)
  return { 'problem', key, reason, raw or '', owner }
end

-- What a user may see of a problem: nothing of another's record, and no content of one that says nobody's name.
local function scoped(wrong, user)
  if not wrong[5] then
    wrong[4] = ''
  end
  return (not wrong[5] or wrong[5] == user) and wrong or nil
end

local function wrong_type(key, expected)
  local kind = redis.call('TYPE', key).ok
  local raw = redis.call(kind == 'string' and 'GET' or 'DUMP', key)
  return problem(key, 'a ' .. (expected or 'hash') .. ' was expected, but this is a ' .. kind, raw)
end

local NOBODYS = "it is nobody's: neither the layout nor the mapping of owners (CHATSTORE_OWNERS) says whose it is"

-- Whether an error is of a key that holds another type. Any other one, of a right that is missing say, must end the
-- script: it is no fault of the record. To that end a command is called again.
local function is_about_its_type(failed)
  return failed.err:find('WRONGTYPE', 1, true) ~= nil
end

-- Calls a command on a key, and returns nil where that holds another type.
local function call_of_type(command, key, ...)
  local found = redis.pcall(command, key, ...)
  if type(found) ~= 'table' or not found.err then
    return found
  elseif not is_about_its_type(found) then
    redis.call(command, key, ...)
  end
  return nil
end

-- What was read of whole hashes, and when keys expire, by key: where a fingerprint is to be made of it, see
-- `fingerprint.lua`; else nil.
local noted

-- Returns a hash's fields and values in one flat list (empty when there is none), or nil and the problem.
local function hash_at(key)
  local fields = call_of_type('HGETALL', key)
  if not fields then
    return nil, wrong_type(key)
  end
  if noted then
    noted.hashes[key] = fields
  end
  return fields
end

local function field_of(fields, name)
  for i = 1, #fields, 2 do
    if fields[i] == name then
      return fields[i + 1]
    end
  end
  return nil
end

-- Makes fields those of `newer` where it has them.
local function merge_fields(fields, newer)
  local places = {}
  for i = 1, #fields, 2 do
    places[fields[i]] = i
  end
  for i = 1, #newer, 2 do
    local place = places[newer[i]] or #fields + 1
    fields[place], fields[place + 1] = newer[i], newer[i + 1]
  end
end

-- Makes a hash hold these fields and no others, but leaves those of `kept`, and its TTL.
local function rewrite_hash(key, fields, kept)
  local stays = kept or {}
  for i = 1, #fields, 2 do
    stays[fields[i]] = true
  end
  local extra = {}
  for _, name in ipairs(redis.call('HKEYS', key)) do
    if not stays[name] then
      extra[#extra + 1] = name
    end
  end
  call_in_pieces('HDEL', key, extra)
  call_in_pieces('HSET', key, fields)
end

-- Whether the server tells when a key expires. Servers before Redis 7 only tell what is left of the time.
local tells_moments = true

-- When a key expires, in milliseconds; negative when it does not.
local function moment_of(key)
  local at = redis.pcall('PEXPIRETIME', key)
  if type(at) == 'table' then
    if not at.err:find('nknown', 1, true) then
      redis.call('PEXPIRETIME', key)
    end
    local left = redis.call('PTTL', key)
    at = left < 0 and left or math.floor(clock() / 1000) + left
    tells_moments = false
  end
  if noted then
    noted.moments[key] = at
  end
  return at
end

-- A key's expiry in microseconds as text; '' when it has none.
local function expiry_of(key)
  local at = moment_of(key)
  return at < 0 and '' or text(at) .. '000'
end

local function expire(key, micros)
  if micros == '' then
    redis.call('PERSIST', key)
  else
    redis.call('PEXPIREAT', key, millis_of(micros))
  end
end

-- What the ledger keeps of a message: "version created/expires body"; of one that only another program wrote it may be
-- just the version, or nothing.
local function read_entry(version, raw)
  if not raw then
    return { version = version, created = '', expires = '', body = '' }
  end
  local known, created, expires, body = raw:match('^(%d+) ?(%-?%d*)/?(%-?%d*) ?(.*)$')
  return { version = tonumber(known), created = created, expires = expires, body = body }
end

local function entry_text(version, created, expires, body)
  local times = expires == '' and created or created .. '/' .. expires
  return text(version) .. ' ' .. times .. ' ' .. body
end

local function has_passed(expires)
  return expires ~= '' and tonumber(expires) <= clock()
end

-- Returns the position behind the last message, whose place is the score of the sorted set's last member.
local function position_behind(keys)
  local last = redis.call('ZRANGE', keys.order, -1, -1, 'WITHSCORES')
  return last[2] and tonumber(last[2]) + 1 or tonumber(redis.call('HGET', keys.state, 'floor') or 0)
end
