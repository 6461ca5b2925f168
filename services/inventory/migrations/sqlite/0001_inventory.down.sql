DROP TABLE request_records;
DROP TABLE reservation_item;
DROP TABLE reservation;
DROP TABLE product;
