/** The server, in a few calls. Every failure is an Error whose message is one clear line. */

/** The response to a request; a failure is thrown as the line that the server says. */
export async function request(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("scanmend does not answer: is `scanmend serve` still running?");
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  throw new Error(said.error ?? `the server answered ${response.status} ${response.statusText}`);
}

export const getJSON = async (url) => (await request(url)).json();

/** Posts a FormData as it is, anything else as JSON; gives back the JSON that is answered. */
export async function post(url, body) {
  const form = body instanceof FormData;
  const headers = form ? {} : { "Content-Type": "application/json" };
  const data = form ? body : JSON.stringify(body);
  return (await request(url, { method: "POST", headers, body: data })).json();
}

/** `path?name=value&…`, without what is undefined, null or empty. */
export function query(path, choices) {
  const known = Object.entries(choices).filter(([, value]) => value != null && value !== "");
  return known.length ? `${path}?${new URLSearchParams(known)}` : path;
}

const FINAL = new Set(["done", "failed", "stopped"]);

/**
 * Tells `tell` a job's state whenever it changes; resolves to the last one. A connection that
 * breaks is taken up again by the browser; one that is refused is asked for by polling.
 */
export async function follow(id, tell) {
  const last = await new Promise((resolve) => {
    const events = new EventSource(`api/jobs/${id}/events`);
    events.onmessage = ({ data }) => {
      const job = JSON.parse(data);
      tell(job);
      if (!FINAL.has(job.state)) return;
      events.close();
      resolve(job);
    };
    events.onerror = () => {
      if (events.readyState === EventSource.CLOSED) resolve(null);
    };
  });
  if (last) return last;
  for (;;) {
    const job = await getJSON(`api/jobs/${id}`);
    tell(job);
    if (FINAL.has(job.state)) return job;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}
