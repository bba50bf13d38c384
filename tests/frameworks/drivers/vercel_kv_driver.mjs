// Drives @vercel/kv as the chatbot template does. The client speaks to its database by HTTP only, so the driver has a small
// server that passes each command on to a Redis and the reply back: what is written is what the client made of it.

import { createServer } from "node:http";
import { load, serve } from "./serving.mjs";

const { createClient: createKv } = await load("@vercel/kv");
const { createClient } = await load("redis");

const encoded = (reply) =>
  Array.isArray(reply) ? reply.map(encoded) : typeof reply === "string" ? Buffer.from(reply).toString("base64") : reply;

async function withKv(url, work) {
  const redis = createClient({ url, RESP: 2 });
  await redis.connect();
  const run = async (command) => {
    try {
      return { result: encoded(await redis.sendCommand(command.map(String))) };
    } catch (error) {
      return { error: error.message };
    }
  };
  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const body = JSON.parse(Buffer.concat(parts).toString());
    const several = /\/(pipeline|multi-exec)$/.test(request.url);
    const replies = [];
    for (const command of several ? body : [body]) replies.push(await run(command));
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(several ? replies : replies[0]));
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  try {
    return await work(createKv({ url: `http://127.0.0.1:${server.address().port}`, token: "any", retry: false }));
  } finally {
    server.closeAllConnections();
    server.close();
    await redis.quit();
  }
}

await serve(
  {
    /** Save a chat: {id, title, userId, createdAt, path, messages, …}; `iso` makes createdAt a Date, as later templates have it. */
    write_chat: ({ url, chat, iso = false }) =>
      withKv(url, async (kv) => {
        const saved = iso ? { ...chat, createdAt: new Date(chat.createdAt) } : chat;
        const pipeline = kv.pipeline();
        pipeline.hmset(`chat:${chat.id}`, saved);
        pipeline.zadd(`user:chat:${chat.userId}`, { score: chat.createdAt, member: `chat:${chat.id}` });
        await pipeline.exec();
      }),
    /** Return a chat, or null. */
    read_chat: ({ url, session }) => withKv(url, (kv) => kv.hgetall(`chat:${session}`)),
    /** Return a user's chats, newest first. */
    list_chats: ({ url, user }) =>
      withKv(url, async (kv) => {
        const keys = await kv.zrange(`user:chat:${user}`, 0, -1, { rev: true });
        if (!keys.length) return [];
        const pipeline = kv.pipeline();
        for (const key of keys) pipeline.hgetall(key);
        return pipeline.exec();
      }),
    /** Delete a chat. */
    clear_chat: ({ url, session, user }) =>
      withKv(url, async (kv) => {
        await kv.del(`chat:${session}`);
        await kv.zrem(`user:chat:${user}`, `chat:${session}`);
      }),
    /** Publish a chat, as the template's share button does. */
    share_chat: ({ url, session }) =>
      withKv(url, async (kv) => {
        const chat = await kv.hgetall(`chat:${session}`);
        await kv.hmset(`chat:${session}`, { ...chat, sharePath: `/share/${chat.id}` });
      }),
  },
  "@vercel/kv",
  "@upstash/redis",
);
