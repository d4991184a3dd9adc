// Answers without doing anything: what starting workerd costs by itself.

export default {
  fetch: () => new Response('ok'),
};
