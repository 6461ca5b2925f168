DROP TABLE refresh_tokens;
DROP TABLE passwords;
DROP TABLE users;
