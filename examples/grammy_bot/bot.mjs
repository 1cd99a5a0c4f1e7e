// A Telegram bot on Stock Tracker, with grammY. It polls Telegram; its only open port is for Stock Tracker's webhooks.

import { createServer } from "node:http";
import { Bot, GrammyError } from "grammy";
import { Sellers } from "./sellers.mjs";
import { ApiError, verifyWebhook } from "./stock_tracker.mjs";

const { BOT_TOKEN, BOT_SECRET, SERVICE_KEY, STOCK_TRACKER_URL, BOT_DATA_DIR = "data", WEBHOOK_HOST = "127.0.0.1", WEBHOOK_PORT = "8080" } = process.env;
const { WEBHOOK_BASE_URL = `http://127.0.0.1:${WEBHOOK_PORT}`, TELEGRAM_API_ROOT = "https://api.telegram.org" } = process.env;

const EVENT_TYPES = [
  "sync.completed", "sync.failed", "stock.low", "stock.out", "stock.replenished", "orders.created",
  "credentials.invalid", "credentials.expiring", "credentials.shared",
];
const LARGEST_WEBHOOK_BYTES = 64 * 1024;
// A Wildberries key is a JWT. It is looked for anywhere in a message, so that "my key: eyJ…" is deleted too.
const KEY = /eyJ[\w-]+\.[\w-]+\.[\w-]+/;

const WELCOME = (page) =>
  "Здравствуйте! Чтобы подключить магазин Wildberries, откройте страницу: она скажет, где взять ключ API, и примет его. В чат ключ не присылайте." +
  `\n\n${page}\n\nСтраница работает 15 минут.\n/key — новая страница\n/products — товары и остатки\n/sync — обновить сейчас\n/forget — забыть ключ`;
const EXPLANATIONS = {
  credentials_missing: "Сначала подключите магазин: /key",
  validation_failed: "Сначала нажмите /start.",
};
// Telegram would open the page to show what is on it.
const NO_PREVIEW = { link_preview_options: { is_disabled: true } };

const sellers = new Sellers(`${STOCK_TRACKER_URL}/api/v1`, SERVICE_KEY, BOT_SECRET ?? "", BOT_DATA_DIR);
const bot = new Bot(BOT_TOKEN, { client: { apiRoot: TELEGRAM_API_ROOT } });
// In a group others would see the key, and the seller's stock.
const chat = bot.chatType("private");

// First of all: nothing with a key in it may go another way.
chat.hears(KEY, async (ctx) => {
  try {
    await ctx.deleteMessage();
  } catch (error) {
    if (!(error instanceof GrammyError)) throw error;
    await ctx.reply("Не могу удалить сообщение с ключом. Пожалуйста, удалите его сами.");
  }
  await ctx.reply("Ключу не место в чате. Лучше сделайте новый и введите его на странице: /key");
});

chat.command("start", async (ctx) => {
  const seller = sellers.get(ctx.chat.id);
  await seller.api.register([ctx.chat.first_name, ctx.chat.last_name].filter(Boolean).join(" "));
  if (!seller.webhook) {
    seller.webhook = await seller.api.createWebhook(`${WEBHOOK_BASE_URL}/stock-tracker/${seller.telegramUserId}`, EVENT_TYPES);
    sellers.save(seller);
  }
  await ctx.reply(WELCOME(await seller.api.keyPage()), NO_PREVIEW);
});

chat.command("key", async (ctx) => {
  const page = await sellers.get(ctx.chat.id).api.keyPage();
  await ctx.reply(`Введите ключ здесь, в ближайшие 15 минут:\n${page}`, NO_PREVIEW);
});

chat.command("products", async (ctx) => {
  const products = await sellers.get(ctx.chat.id).api.products({ limit: 20, sort: "stock" });
  const lines = products.map((product) => `${product.stock_total} шт. · ${product.article} · ${product.title}`);
  await ctx.reply(lines.join("\n").slice(0, 4096) || "Товаров пока нет.");
});

chat.command("sync", async (ctx) => {
  await sellers.get(ctx.chat.id).api.sync();
  await ctx.reply("Обновляю, напишу, когда закончу.");
});

chat.command("forget", async (ctx) => {
  await sellers.get(ctx.chat.id).api.deleteCredentials();
  await ctx.reply("Ключ удалён. Отзовите его и в кабинете Wildberries.");
});

/** What the seller can do about it; the rest is for the operator, who finds it by the request's id. */
function explain({ code, status, requestId }) {
  if (code in EXPLANATIONS) return EXPLANATIONS[code];
  if ([429, 502, 503].includes(status)) return "Сервис сейчас занят. Попробуйте через минуту.";
  return `Что-то пошло не так. Номер для поддержки: ${requestId || "нет"}`;
}

bot.catch(async ({ ctx, error }) => {
  // Not the whole BotError: its context holds the message, and that may hold a key.
  console.error(error instanceof ApiError ? `${error.message} (request ${error.requestId})` : error);
  // An error thrown here would end the bot.
  if (error instanceof ApiError) await ctx.reply(explain(error)).catch(console.error);
});

// region: webhook
/** Gives the status and the headers of the answer. What is not answered with 2xx comes again, for three days. */
async function receive(request) {
  const [, telegramUserId] = /^\/stock-tracker\/(\d{1,16})$/.exec(request.url) ?? [];
  const seller = request.method === "POST" && telegramUserId && sellers.find(Number(telegramUserId));
  if (!seller?.webhook) return [404];
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > LARGEST_WEBHOOK_BYTES) return [413];
    chunks.push(chunk);
  }
  // The very bytes that were signed.
  const event = verifyWebhook(seller.webhook.secret, request.headers, Buffer.concat(chunks));
  if (!event) return [401];
  const messageId = request.headers["webhook-id"];
  if (seller.delivered.includes(messageId)) return [204];
  try {
    await tell(seller, event);
  } catch (error) {
    if (!(error instanceof GrammyError)) throw error;
    if (error.error_code === 429) return [503, { "Retry-After": error.parameters.retry_after }];
    if (error.error_code !== 403) throw error;
    // The seller blocked the bot; /start makes a new webhook.
    await seller.api.deleteWebhook(seller.webhook.id);
    seller.webhook = null;
    sellers.save(seller);
    return [410];
  }
  seller.delivered.push(messageId);
  sellers.save(seller);
  return [204];
}

async function tell(seller, event) {
  // A scheduled sync that went well is no news: it comes every half hour.
  if (event.type === "sync.completed" && event.data.trigger === "schedule") return;
  await bot.api.sendMessage(seller.telegramUserId, event.data.message);
}

const server = createServer(async (request, response) => {
  let answer = [500];
  try {
    answer = await receive(request);
  } catch (error) {
    console.error(error);
  }
  response.writeHead(...answer).end();
});
// endregion

let stopping = false;

function stop() {
  stopping = true;
  server.close();
  bot.stop();
}

process.once("SIGINT", stop);
process.once("SIGTERM", stop);
server.listen(Number(WEBHOOK_PORT), WEBHOOK_HOST);
// A stop in the middle of a call to Telegram ends that call with an error.
await bot.start().catch((error) => {
  if (!stopping) throw error;
});
