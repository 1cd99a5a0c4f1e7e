// Stock Tracker's API for one seller, with nothing but Node: the calls that a bot makes, tokens that renew themselves, webhooks verified.

import { createHmac, timingSafeEqual } from "node:crypto";

/** The API said no. `code` never changes, so switch on it; `requestId` is what the operator finds in the logs. */
export class ApiError extends Error {
  constructor(status, code, detail, requestId = "", options = {}) {
    super(`${status} ${code}: ${detail}`, options);
    Object.assign(this, { name: "ApiError", status, code, detail, requestId });
  }
}

/** One seller's door to the API, opened by the bot's service key. `baseUrl` ends in /api/v1. */
export class StockTracker {
  #baseUrl;
  #serviceKey;
  #telegramUserId;
  #renewing = null;
  /** `{ access, refresh }`: the access token lives 15 minutes; the refresh token 30 days, and works once. */
  tokens = null;

  constructor(baseUrl, serviceKey, telegramUserId) {
    this.#baseUrl = baseUrl;
    this.#serviceKey = serviceKey;
    this.#telegramUserId = telegramUserId;
  }

  /** Make the seller's tenant and sign in. A seller who is registered already is only signed in, so it may be repeated at will. */
  async register(companyName, marketplaceType = "wildberries") {
    await this.#signIn({ company_name: companyName, marketplace_type: marketplaceType });
  }

  /** The address of a page, for 15 minutes, on which the seller gives a key; the first valid one starts a sync. */
  async keyPage(provider = "wildberries") {
    return (await this.#call("POST", "/tenants/me/credentials/links", { body: { provider } })).url;
  }

  async deleteCredentials() {
    await this.#call("DELETE", "/tenants/me/credentials/wildberries");
  }

  /** One page: `q`, `sort`, `limit` and the other filters of GET /products. */
  async products(query = {}) {
    return (await this.#call("GET", `/products?${new URLSearchParams(query)}`)).items;
  }

  /** Start a sync, or get the one that is active. */
  async sync() {
    return this.#call("POST", "/sync", { body: {} });
  }

  /**
   * Make an endpoint, `{ id, secret }`; the secret is shown once. It takes the place of one with the same URL: its secret must have been lost,
   * so nobody could verify what it gets.
   */
  async createWebhook(url, eventTypes) {
    for (const webhook of (await this.#call("GET", "/webhooks")).items) {
      if (webhook.url === url) await this.deleteWebhook(webhook.id);
    }
    const { id, secret } = await this.#call("POST", "/webhooks", { body: { url, event_types: eventTypes } });
    return { id, secret };
  }

  async deleteWebhook(id) {
    await this.#call("DELETE", `/webhooks/${id}`);
  }

  // region: renewal
  async #call(method, path, options = {}) {
    const used = this.tokens;
    if (used) {
      try {
        return await this.#send(method, path, { ...options, bearer: used.access });
      } catch (error) {
        if (error.status !== 401) throw error;
      }
    }
    if (this.tokens === used) {
      // Of several calls whose access token ran out together, one refreshes, since a refresh token works once.
      this.#renewing ??= this.#renew().finally(() => { this.#renewing = null; });
      await this.#renewing;
    }
    return this.#send(method, path, { ...options, bearer: this.tokens.access });
  }

  async #renew() {
    if (this.tokens) {
      try {
        return this.#take(await this.#send("POST", "/auth/refresh", { body: { refresh_token: this.tokens.refresh } }));
      } catch (error) {
        if (error.status !== 401) throw error;
      }
    }
    return this.#signIn({});
  }

  /** The service believes the bot whom it speaks for, so the id must be Telegram's own. */
  async #signIn(seller) {
    const body = { telegram_user_id: this.#telegramUserId, ...seller };
    return this.#take(await this.#send("POST", "/auth/telegram", { body, bearer: this.#serviceKey }));
  }
  // endregion

  #take(answer) {
    this.tokens = { access: answer.access_token, refresh: answer.refresh_token };
  }

  async #send(method, path, { body, bearer } = {}) {
    const headers = {
      ...(body && { "Content-Type": "application/json" }),
      ...(bearer && { Authorization: `Bearer ${bearer}` }),
    };
    let answer, text;
    try {
      answer = await fetch(this.#baseUrl + path, { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(20_000) });
      text = await answer.text();
    } catch (error) {
      throw new ApiError(503, "unreachable", "No answer from Stock Tracker.", "", { cause: error });
    }
    if (answer.ok) return text ? JSON.parse(text) : null;
    if (answer.headers.get("content-type")?.startsWith("application/problem+json")) {
      const problem = JSON.parse(text);
      throw new ApiError(answer.status, problem.code, problem.detail, problem.request_id);
    }
    throw new ApiError(answer.status, "no_problem_document", "The answer is not Stock Tracker's; a proxy's, perhaps.");
  }
}

// region: verification
const TOLERANCE_S = 5 * 60;

/** The event, or null if the signature is wrong: answer that with 401. `body` is the raw request body, a Buffer. */
export function verifyWebhook(secret, headers, body) {
  const id = headers["webhook-id"], timestamp = headers["webhook-timestamp"], signatures = headers["webhook-signature"];
  if (!id || !signatures || !/^\d{1,12}$/.test(timestamp) || Math.abs(Date.now() / 1000 - timestamp) > TOLERANCE_S) return null;
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const expected = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest();
  // Several while a secret is being replaced; one that fits is enough.
  const genuine = signatures.split(" ").some((versioned) => {
    const given = Buffer.from(versioned.startsWith("v1,") ? versioned.slice(3) : "", "base64");
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
  return genuine ? JSON.parse(body) : null;
}
// endregion
