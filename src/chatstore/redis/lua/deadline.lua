-- For a write whose mark was made before, and is kept for it until a time: behind that, nothing may come of it any more.
if clock() > tonumber(take()) then
  return { 'late' }
end
