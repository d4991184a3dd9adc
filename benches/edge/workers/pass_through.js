// The floor: the least that a Worker can do for a client. It reads nothing and changes nothing.

export default {
  fetch(request, env) {
    const { pathname } = new URL(request.url);
    const { method, headers, body } = request;
    return fetch(env.UPSTREAM + pathname, { method, headers, body });
  },
};
