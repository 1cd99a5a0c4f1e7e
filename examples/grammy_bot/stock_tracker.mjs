// Stock Tracker's API for one seller, with nothing but Node: the calls that a bot makes, tokens that renew themselves, webhooks verified.

import { createHmac, timingSafeEqual } from "node:crypto";

/** The API said no. `code` never changes, so switch on it; `requestId` is what the operator finds in the logs. */
export class ApiError extends Error {
  constructor(status, code, detail, requestId = "", options = {}) {
    super(`${status} ${code}: ${detail}`, options);
    Object.assign(this, { name: "ApiError", status, code, detail, requestId });
  }
}

/** One seller's door to the API. `baseUrl` ends in /api/v1; `keep` is called with each new token pair, `{ access, refresh }`. */
export class StockTracker {
  #baseUrl;
  #signIn;
  #keep;
  #renewing = null;

  constructor(baseUrl, email, password, { tokens = null, keep = () => {} } = {}) {
    this.#baseUrl = baseUrl;
    this.#signIn = { email, password };
    this.#keep = keep;
    this.tokens = tokens;
  }

  /** Make the seller's tenant and sign in. A seller who is registered already is only signed in, so it may be repeated at will. */
  async register(companyName, marketplaceType = "wildberries") {
    try {
      const body = { ...this.#signIn, company_name: companyName, marketplace_type: marketplaceType };
      this.#take(await this.#send("POST", "/auth/register", { body }));
    } catch (error) {
      if (error.code !== "email_taken") throw error;
      await this.login();
    }
  }

  async login() {
    return this.#take(await this.#send("POST", "/auth/login", { body: this.#signIn }));
  }

  /** Give the seller's key; the first valid one starts a sync. An ApiError with `credentials_rejected`: nothing changed. */
  async updateCredentials(wildberriesApiKey) {
    const answer = await this.#call("PATCH", "/tenants/me/credentials", { body: { wildberries_api_key: wildberriesApiKey } });
    return answer.credentials;
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
        return await this.#send(method, path, { ...options, tokens: used });
      } catch (error) {
        if (error.status !== 401) throw error;
      }
    }
    if (this.tokens === used) {
      // Of several calls whose access token ran out together, one refreshes, since a refresh token works once.
      this.#renewing ??= this.#renew().finally(() => { this.#renewing = null; });
      await this.#renewing;
    }
    return this.#send(method, path, { ...options, tokens: this.tokens });
  }

  async #renew() {
    if (this.tokens) {
      try {
        return this.#take(await this.#send("POST", "/auth/refresh", { body: { refresh_token: this.tokens.refresh } }));
      } catch (error) {
        if (error.status !== 401) throw error;
      }
    }
    return this.login();
  }
  // endregion

  #take(answer) {
    this.tokens = { access: answer.access_token, refresh: answer.refresh_token };
    this.#keep(this.tokens);
    return this.tokens;
  }

  async #send(method, path, { body, tokens } = {}) {
    const headers = {
      ...(body && { "Content-Type": "application/json" }),
      ...(tokens && { Authorization: `Bearer ${tokens.access}` }),
    };
    let answer, text;
    try {
      // Checking a key takes up to 12 s, when the marketplace is slow.
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
