// The bot's memory: for each seller one sealed file with the webhook's secret. No password, token or key of a marketplace is ever in it.

import { createCipheriv, createDecipheriv, createHmac, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StockTracker } from "./stock_tracker.mjs";

const DELIVERIES_REMEMBERED = 50;
const IV_BYTES = 12, TAG_BYTES = 16;

/** All sellers. `secret` is at least 32 random characters and never changes: the files' keys come from it. */
export class Sellers {
  #secret;
  #serviceKey;
  #known = new Map();

  constructor(apiUrl, serviceKey, secret, folder) {
    if (secret.length < 32) throw new Error("BOT_SECRET must have at least 32 characters; make one: openssl rand -hex 32");
    mkdirSync(folder, { mode: 0o700, recursive: true });
    this.#secret = secret;
    this.apiUrl = apiUrl;
    this.#serviceKey = serviceKey;
    this.folder = folder;
  }

  /** The seller, new or known, by the Telegram user id, which is the id of the private chat too. */
  get(telegramUserId) {
    if (!this.#known.has(telegramUserId)) this.#known.set(telegramUserId, this.#open(telegramUserId));
    return this.#known.get(telegramUserId);
  }

  /** The seller, if known. */
  find(telegramUserId) {
    return existsSync(this.#file(telegramUserId)) ? this.get(telegramUserId) : null;
  }

  /** Seal the seller's file, and put it in the old one's place in one step: a crash leaves either, never half. */
  save(seller) {
    // The ids of messages that were passed on: a webhook may arrive twice.
    seller.delivered = seller.delivered.slice(-DELIVERIES_REMEMBERED);
    const kept = { webhook: seller.webhook, delivered: seller.delivered };
    const file = this.#file(seller.telegramUserId);
    writeFileSync(`${file}.draft`, this.#seal(seller.telegramUserId, JSON.stringify(kept)), { mode: 0o600 });
    renameSync(`${file}.draft`, file);
  }

  #open(telegramUserId) {
    const file = this.#file(telegramUserId);
    const kept = existsSync(file) ? JSON.parse(this.#unseal(telegramUserId, readFileSync(file))) : {};
    // After a restart the service key brings new tokens, so these need no place on a disk.
    const api = new StockTracker(this.apiUrl, this.#serviceKey, telegramUserId);
    return { telegramUserId, api, webhook: kept.webhook ?? null, delivered: kept.delivered ?? [] };
  }

  /** Each file has a key of its own, so that one can't stand in for another. */
  #fileKey(telegramUserId) {
    return createHmac("sha256", this.#secret).update(`file:${telegramUserId}`).digest();
  }

  #seal(telegramUserId, text) {
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv("aes-256-gcm", this.#fileKey(telegramUserId), iv);
    return Buffer.concat([iv, cipher.update(text), cipher.final(), cipher.getAuthTag()]);
  }

  #unseal(telegramUserId, sealed) {
    const decipher = createDecipheriv("aes-256-gcm", this.#fileKey(telegramUserId), sealed.subarray(0, IV_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
    return Buffer.concat([decipher.update(sealed.subarray(IV_BYTES, -TAG_BYTES)), decipher.final()]).toString();
  }

  #file(telegramUserId) {
    return join(this.folder, `${telegramUserId}.sealed`);
  }
}
