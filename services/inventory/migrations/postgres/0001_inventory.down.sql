DROP TABLE request_records;
DROP TABLE reservation_items;
DROP TABLE reservations;
DROP TABLE products;
