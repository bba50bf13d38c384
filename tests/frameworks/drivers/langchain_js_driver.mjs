// Drives LangChain.js: @langchain/redis.

import { embed, load, serve } from "./serving.mjs";

const { RedisChatMessageHistory, RedisVectorStore, FluentRedisVectorStore } = await load("@langchain/redis");
const { mapStoredMessagesToChatMessages } = await load("@langchain/core/messages");
const { Embeddings } = await load("@langchain/core/embeddings");
const { Document } = await load("@langchain/core/documents");
const { createClient } = await load("redis", "@langchain/redis");

class FakeEmbeddings extends Embeddings {
  embedQuery = async (text) => embed(text);
  embedDocuments = async (texts) => texts.map(embed);
}

async function withClient(url, work) {
  const client = createClient({ url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.quit();
  }
}

const history = (client, session, options) =>
  new RedisChatMessageHistory({ sessionId: session, client, sessionTTL: options.ttl });

async function store(client, index, options) {
  const { fluent, ...rest } = options;
  const kind = fluent ? FluentRedisVectorStore : RedisVectorStore;
  return new kind(new FakeEmbeddings({}), { redisClient: client, indexName: index, ...rest });
}

const shown = (document) => ({ id: document.id ?? null, text: document.pageContent, metadata: document.metadata });

await serve(
  {
    /** Append messages (StoredMessage's shape). Options: `ttl` in seconds. */
    write_chat: ({ url, session, messages, ...options }) =>
      withClient(url, async (client) => {
        const at = history(client, session, options);
        for (const message of mapStoredMessagesToChatMessages(messages)) await at.addMessage(message);
      }),
    /** Return all messages, oldest first, as the class itself would store them. */
    read_chat: ({ url, session, ...options }) =>
      withClient(url, async (client) =>
        (await history(client, session, options).getMessages()).map((message) => message.toDict()),
      ),
    /** Delete all messages. */
    clear_chat: ({ url, session, ...options }) =>
      withClient(url, (client) => history(client, session, options).clear()),
    /** Add documents ({id?, text, metadata}; an id is the whole key). Options: those of the store, and `fluent`. */
    write_documents: ({ url, index, documents, ...options }) =>
      withClient(url, async (client) => {
        const at = await store(client, index, options);
        const added = documents.map((each) => new Document({ pageContent: each.text, metadata: each.metadata ?? {} }));
        const keys = documents.every((each) => each.id) ? { keys: documents.map((each) => each.id) } : {};
        await at.addDocuments(added, keys);
      }),
    /** Return the nearest documents, with distances as scores. */
    search_documents: ({ url, index, text, k = 4, filter, ...options }) =>
      withClient(url, async (client) => {
        const at = await store(client, index, options);
        const found = await at.similaritySearchVectorWithScore(embed(text), k, filter);
        return found.map(([document, score]) => ({ ...shown(document), score }));
      }),
    /** Delete documents by what stands behind the prefix in their keys. */
    delete_documents: ({ url, index, ids, ...options }) =>
      withClient(url, async (client) => (await store(client, index, options)).delete({ ids })),
  },
  "@langchain/redis",
  "@langchain/core",
);
