-- A session of the layout `hash` that only the app wrote, so that there is nothing of it but its header and its messages.
-- A migration reads nearly nothing else, and this takes half as long as the protocol, which is made for all that may be.
--
-- Told whether all of it is wanted. Replies {fingerprint, parts}, or {fingerprint, user} where not. The parts are the header
-- and when that expires, then the same of each message, in order, and the fingerprint is made of them as `fingerprint.lua`
-- does it. Replies nil of a session that is another one, expires, is large, or is not as it should be: for that the protocol
-- is asked. Changes nothing.

local MOST, LARGEST = 1000, 262144

if redis.call('EXISTS', KEYS[2], KEYS[3], KEYS[4], KEYS[5]) > 0 then
  return false
end

local parts, count, bytes = {}, 0, 0

-- Takes a hash in. Returns its fields, if they are there, stay, and are not too large.
local function see(key)
  local fields, at = redis.pcall('HGETALL', key), redis.pcall('PEXPIRETIME', key)
  if fields.err or #fields == 0 or at ~= -1 then
    return nil
  end
  for i = 1, #fields do
    bytes = bytes + #fields[i]
  end
  parts[count + 1], parts[count + 2] = fields, at
  count = count + 2
  return bytes <= LARGEST and fields or nil
end

local user, listing = nil, ''
local header = see(KEYS[1])
for i = 1, header and #header or 0, 2 do
  if header[i] == 'userId' then
    user = header[i + 1]
  elseif header[i] == 'messageIds' then
    listing = header[i + 1]
  end
end
local fine, ids = pcall(cjson.decode, listing)
if not user or not listing:find('^%s*%[') or not fine or #ids > MOST then
  return false
end
for _, id in ipairs(ids) do
  if type(id) ~= 'string' or id == '' or not see('message:' .. id) then
    return false
  end
end
return { redis.sha1hex(cmsgpack.pack(parts)), ARGV[1] == '1' and parts or user }
